"""What the features of an audit's sets say: verdicts, rates, risk."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lcmem.jobs.audit.datasets import by_dataset, dataset_notes
from lcmem.jobs.audit.remarks import FEW, as_json, remarks, separations
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.risk import Risk, measure_risk
from lcmem.jobs.audit.settings import AuditSettings
from lcmem.jobs.audit.threshold import OperatingPoint, operating_point, read_point
from lcmem.matching.asked import Asked
from lcmem.matching.chance import copy_groups
from lcmem.matching.control import Control, control_scores
from lcmem.matching.correlations import RANKS
from lcmem.matching.feature_set import FeatureSet, skipped_table
from lcmem.matching.finder import CopyFinder
from lcmem.matching.grades import graded
from lcmem.matching.matches import OTHERS, best_matches, first_matches, match_clusters, match_table, nearest_kinds
from lcmem.matching.overview import SEARCHED, Nearest
from lcmem.matching.sensitivity import sensitivity
from lcmem.matching.strangers import hidden_by_one
from lcmem.matching.twins import shared_files
from lcmem.matching.verdicts import COPY
from lcmem.pictures.hints import called_alike
from lcmem.report.verdict import blind_notes, holdout_note
from lcmem.stats.calibration import at_least
from lcmem.stats.rates import Rate, excess, rate_of

SENSITIVITY = ("sensitivity", "sensitivity_low", "sensitivity_high")
"""In a summary: share of real pictures that match another one of their identity, None where that is not known."""


def compare_sets(
    sets: dict[str, FeatureSet], finder: CopyFinder, settings: AuditSettings, about: dict[str, Any]
) -> AuditResult:
    """The result of an audit.

    Args:
        sets: ``real``, ``synthetic`` and perhaps ``holdout``.
        finder: Tells copies from look-alikes.
        settings: The options.
        about: What is known of the audit already.
    """
    real, synthetic = sets["real"], sets["synthetic"]
    nearest, looked = Nearest.none(len(synthetic.keys)), settings.asked.threshold is None
    if looked:
        nearest = finder.looker(real).nearest(synthetic.manifest.paths)
    k = min(max(settings.top_k, RANKS) + OTHERS, len(real.blocks))
    best = best_matches(synthetic, real, finder.detector, k, nearest.positions)
    listed, files = shared_files(synthetic, real)
    control = control_scores(sets["holdout"], real, finder, looked=looked) if "holdout" in sets else None
    kinds = nearest_kinds(best, real)
    shares = pd.Series(kinds).value_counts(normalize=True).to_dict()
    point = _point(sets, listed, control, finder, settings.asked, shares)
    matches = match_table(synthetic, real, best, point.calibration, finder, point.look, nearest, kinds)
    matches = graded(matches, point.chance, kinds)
    matches = matches[matches["rank"] <= settings.top_k].reset_index(drop=True)
    clusters = match_clusters(matches, synthetic, finder)
    memorization, copies = _rates(matches, clusters)
    held = point.control.rate(point.calibration, finder.copy_levels.sure, point.look) if point.control else None
    matched = first_matches(matches)["match"].to_numpy()
    doubts = hidden_by_one(point.strangers, point.chance, best.logits.max(1), kinds, matched)
    point = replace(point, notes=point.notes + doubts)
    rows = by_dataset(matches, kinds, point.calibration, point.chance, finder.copy_levels.sure)
    floor = at_least(point.calibration, point.chance, finder.copy_levels.sure, shares)
    own, chance = point.own, (point.own or point).chance
    scores = {"synthetic": best.logits.max(1)} | ({"holdout": control.scores} if control else {})
    twins = [*([own.twins] if own else []), *([control.twins] if control else []), files]
    result = AuditResult(
        matches=matches,
        calibration=point.calibration,
        memorization=memorization,
        copies=copies,
        holdout=held,
        excess=excess(memorization, held) if held else None,
        twins=pd.concat(twins, ignore_index=True),
        skipped=skipped_table(sets),
        scores=scores | {"chance": chance.scores},
        about=about
        | _findings(sets, finder, clusters, point, rows, not settings.private)
        | {"false_positive_rate_floor": point.among * floor}
        | ({"holdout_mix": _other_kinds(kinds, point.control.kinds)} if point.control else {})
        | {"by_dataset": rows},
        strangers=point.strangers,
        risk=_risk(matches, real, synthetic, finder, clusters, own.groups if own else None),
    )
    return _noted(result)


def _other_kinds(synthetic: np.ndarray, holdout: np.ndarray) -> float:
    """Share of pictures ``[Q]`` and ``[H]`` of two sets that lie nearest to other kinds: half of what shares differ."""
    shares = [pd.Series(kinds).value_counts(normalize=True) for kinds in (synthetic, holdout)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def _noted(result: AuditResult) -> AuditResult:
    """With notes, before all others, where the holdout is no control, and of what could not be found."""
    numbers = result.summary
    first = [note for note in (holdout_note(numbers), *blind_notes(numbers)) if note]
    return replace(result, about=result.about | {"notes": first + result.about["notes"]})


def _point(
    sets: dict[str, FeatureSet],
    listed: np.ndarray,
    control: Control | None,
    finder: CopyFinder,
    asked: Asked,
    shares: dict[str, float],
) -> OperatingPoint:
    if asked.calibration is not None:
        return read_point(asked.calibration, sets["real"], control, sets.get("holdout"), finder, shares)
    return operating_point(sets["real"], listed, control, finder, asked, shares)


def _rates(matches: pd.DataFrame, clusters: np.ndarray) -> tuple[Rate, Rate]:
    """Share of synthetic pictures that match, and that are copies."""
    first = first_matches(matches)
    matched, copied = first["match"].to_numpy(), (first["verdict"] == COPY).to_numpy()
    return rate_of(matched, clusters), rate_of(copied, clusters)


def _risk(
    matches: pd.DataFrame,
    real: FeatureSet,
    synthetic: FeatureSet,
    finder: CopyFinder,
    clusters: np.ndarray,
    groups: np.ndarray | None,
) -> Risk:
    """In a large real set copies are not looked for: comparing all with all would take long."""
    if len(real.keys) > SEARCHED:
        copies = np.arange(len(real.keys))
    else:
        copies = copy_groups(real, finder) if groups is None else groups
    return measure_risk(matches, real.manifest, synthetic.manifest, copies, clusters)


def _findings(
    sets: dict[str, FeatureSet],
    finder: CopyFinder,
    clusters: np.ndarray,
    point: OperatingPoint,
    rows: list[dict[str, Any]],
    named: bool,
) -> dict[str, Any]:
    """What a summary says of copies and of the sets, with or without the names of datasets."""
    told, levels = separations(sets, clusters), finder.copy_levels
    found = sensitivity(sets["real"], finder, point.calibration)
    known = {
        **(found.columns("sensitivity") if found else dict.fromkeys(SENSITIVITY)),
        "n_sensitivity": found.total if found else 0,
        "look_thresholds": point.look.shown,
        "look_chance": point.look.expected,
        "copy_threshold_logit": min(levels.candidate, levels.sure),
        "copy_method": levels.method,
    }
    notes = (
        _doubts(sets)
        + _overlap(sets, point.control)
        + _closed(sets)
        + point.notes
        + remarks(sets["real"], told, bool(rows))
    )
    notes += dataset_notes(rows, sets["real"], point.control, point.chance, FEW, named)
    return as_json(told) | known | {"notes": notes}


def _closed(sets: dict[str, FeatureSet]) -> list[str]:
    """Pictures of atlases that cannot be looked at; without names, for private audits as well."""
    counts = {name: int(found.closed.sum()) for name, found in sets.items() if found.closed is not None}
    return [
        f"{count} of {len(sets[name].keys)} {name} pictures are not what their atlas was made of, or not there any "
        "more: they are not shown, and copies of them are told by their score alone."
        for name, count in counts.items()
    ]


def _overlap(sets: dict[str, FeatureSet], control: Control | None) -> list[str]:
    if control is None:
        return []
    shared, exactly = called_alike(sets["real"].manifest, sets["holdout"].manifest)
    notes = []
    if shared:
        zeros = "" if shared == exactly else ", some but for leading zeros or .0"
        notes.append(
            f"{shared} identities of the holdout are called like ones of the real set{zeros}. If they are the same "
            "people, their photos match with right and hide what synthetic pictures give away: leave them out of the "
            "holdout."
        )
    if not control.left_out:
        return notes
    return [
        *notes,
        f"{control.left_out} of {len(sets['holdout'].keys)} holdout pictures are real ones as well, or show people of "
        "such pictures, and are left out: did the generator really never see the others?",
    ]


def _doubts(sets: dict[str, FeatureSet]) -> list[str]:
    if set(sets["synthetic"].keys) <= set(sets["real"].keys):
        return ["Every synthetic picture is equal to a real one, file by file. Are these the folders that you meant?"]
    return []
