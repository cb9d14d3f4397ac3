"""Calibrate once, on one's own pictures, and keep that as a file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import finite
from lcmem.matching.basis import Basis, calibration_basis
from lcmem.matching.calibration_file import CalibrationFile, levels_as_json, look_as_json
from lcmem.matching.chance import distinct_pictures
from lcmem.matching.compare import score_pairs
from lcmem.matching.control import control_scores
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_sets, read_sources
from lcmem.matching.finder import CopyFinder
from lcmem.matching.kinds import split_kinds
from lcmem.matching.look_levels import Look
from lcmem.matching.sensitivity import sensitivity
from lcmem.pictures.manifest import ManifestLike
from lcmem.stats.calibration import ALONE, DEFAULT_RATE, Calibration, calibrate, check_share, reached
from lcmem.stats.chance import CONFIDENCE
from lcmem.stats.probability import FEWEST, ProbabilityFit, fit_probabilities

PAIRS = 2000
"""Pairs of one identity, and as many of two, that probabilities are fitted to, at most."""


def calibrate_pictures(
    real: ManifestLike | Atlas,
    detector: Detector,
    out: str | os.PathLike[str],
    *,
    holdout: ManifestLike | Atlas | None = None,
    rate: float = DEFAULT_RATE,
    confidence: float = CONFIDENCE,
    workers: int | None = None,
) -> CalibrationFile:
    """Take thresholds for both verdicts as an audit of these pictures would, and write them with what they rest on.

    Args:
        real: The real pictures, or an atlas.
        detector: The model.
        out: The JSON file to write. A reliability plot is written beside it, where identities are known.
        holdout: Pictures of other identities, which calibrate where the real ones have none.
        rate: Share of pictures of unseen identities that may match, in (0, 1).
        confidence: With which the stated bound is to hold, in (0, 1).
        workers: Decoding processes.

    Raises:
        LCMemError: No two identities, or two pictures that are no copies; or a rate or confidence outside (0, 1).

    Warns:
        LCMemWarning: Some of the pictures cannot be used.
    """
    check_share("rate", rate)
    check_share("confidence", confidence)
    sets = extract_sets(read_sources({"real": real, "holdout": holdout}), detector, None, workers=workers)
    for name, found in sets.items():
        found.remark_skipped(name)
    sets["real"] = split_kinds(sets["real"], detector)
    finder = CopyFinder.of(sets["real"], detector, others=[*sets.values()][1:], workers=workers)
    control = control_scores(sets["holdout"], sets["real"], finder) if holdout is not None else None
    basis = calibration_basis(sets["real"], control, finder)
    if not np.isfinite(basis.chance.scores).any():
        raise LCMemError(f"{ALONE}: a calibration takes two identities, or two pictures that are no copies")
    fit = _fit(sets["real"], finder)
    look = basis.own.look(sets["real"], finder, confidence)
    about = _about(sets, basis, look, finder, rate, confidence, fit)
    made = CalibrationFile.make(about, basis.chance, finder.copy_levels, look, out)
    if fit is not None:
        from lcmem.report.reliability import plot_probabilities

        plot_probabilities(fit, Path(out).with_suffix(".png"))
    made.write()
    return made


def _about(
    sets: dict[str, FeatureSet],
    basis: Basis,
    look: Look,
    finder: CopyFinder,
    rate: float,
    confidence: float,
    fit: ProbabilityFit | None,
) -> dict[str, Any]:
    detector, levels = finder.detector, finder.copy_levels
    found = calibrate(basis.chance, rate, basis.method, levels.typical, levels.sure)
    photos = sensitivity(sets["real"], finder, found)
    return {
        "model": {"name": detector.name, "fingerprint": detector.fingerprint},
        "score": detector.unit,
        "asked": {"rate": rate, "confidence": confidence},
        "real": _data(sets["real"]) | {"distinct": _distinct(sets["real"], basis, finder)},
        "holdout": _data(sets["holdout"]) if "holdout" in sets else None,
        "same_identity": {"threshold": finite(found.logit)}
        | _promise(basis, found, min(found.logit, levels.sure), rate, confidence)
        | {"sensitivity": None if photos is None else photos.columns("share") | {"pictures": photos.total}},
        "look": look_as_json(look),
        "copy": levels_as_json(levels),
        "probability": None if fit is None else _probability(fit),
        "twins": len(basis.own.twins),
        "notes": basis.notes,
    }


def _distinct(real: FeatureSet, basis: Basis, finder: CopyFinder) -> int:
    """Pictures, those of one identity that are as alike as copies, or copies where nobody is known, counted once."""
    groups = basis.own.groups
    return len(np.unique(distinct_pictures(real, basis.own.matches.identities, finder) if groups is None else groups))


def _data(found: FeatureSet) -> dict[str, Any]:
    known = found.manifest.known_identities or None
    datasets = {str(name): int(count) for name, count in pd.Series(found.kinds).value_counts().items()}
    return {"pictures": len(found.manifest), "datasets": datasets, "identities": known, "sha256": found.fingerprint}


def _promise(basis: Basis, found: Calibration, level: float, rate: float, confidence: float) -> dict[str, Any]:
    """What the threshold promises, what that rests on, and what the asked rate would take."""
    return {
        "expected": found.rate,
        "bound": reached(basis.chance, level, confidence)[1],
        "method": basis.method,
        "identities": min((part.identities for _, part in basis.chance.distinct()), default=basis.chance.identities),
        "pictures": len(basis.chance.scores),
        "identities_needed": basis.chance.needed(rate),
        "identities_needed_for_bound": basis.chance.needed_for_bound(rate, confidence),
        "explanation": found.explanation,
    }


def _probability(fit: ProbabilityFit) -> dict[str, Any]:
    before = None if fit.before is None else fit.before.error
    return {"slope": fit.slope, "intercept": fit.intercept, "error_before": before, "error_after": fit.after.error}


def _fit(real: FeatureSet, finder: CopyFinder) -> ProbabilityFit | None:
    """Probabilities fitted to pairs of one identity and of two; None where too few identities have two pictures."""
    numbers = real.manifest.known_numbers
    one, two, same = _pairs(numbers)
    scores = score_pairs(real.blocks, one, real.blocks, two, finder.detector)
    kept = ~finder.copies(real, one, real, two, scores)
    people = numbers[one]
    if len(np.unique(people[kept & same])) < FEWEST:
        return None
    return fit_probabilities(scores[kept], same[kept], people[kept], finder.detector.head is not None)


def _pairs(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of both pictures ``[P]`` and whether they show one identity: of each identity as many pairs."""
    generator = np.random.default_rng(0)
    known = pd.Series(np.flatnonzero(numbers >= 0)).sample(frac=1, random_state=0).to_numpy()
    table = pd.DataFrame({"at": known, "who": numbers[known]})
    table["pair"] = table.groupby("who").cumcount() // 2
    both = table.groupby(["who", "pair"])["at"].agg(["first", "last"])
    both = both[both["first"] != both["last"]].sort_values(["pair", "who"], kind="stable").head(PAIRS)
    one, two = (np.array(both[end], dtype=np.int64) for end in ("first", "last"))
    other = generator.permutation(two)
    apart = numbers[one] != numbers[other]
    same = np.repeat([True, False], [len(one), int(apart.sum())])
    return np.append(one, one[apart]), np.append(two, other[apart]), same
