"""The paired memorization rate (paper, equation 4): each synthetic picture against the one it was made from."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.files import finite, write_json, write_table
from lcmem.jobs.audit.folder import PAIRED
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.settings import AuditSettings
from lcmem.jobs.score import score_listed
from lcmem.matching.compare import probabilities
from lcmem.matching.features import open_features
from lcmem.matching.matches import first_matches
from lcmem.pairs import PairList, read_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.paths import split_bits
from lcmem.pictures.set_depth import same_depth
from lcmem.stats.rates import Rate, rate_of
from lcmem.store import Store

COLUMNS = ("synthetic", "real")
PAPER = "p > 0.5"
"""The paper's threshold: a logit above 0."""
CALIBRATED = "threshold of the audit"


@dataclass(frozen=True)
class PairedResult:
    """Which synthetic pictures show the picture that they were made from.

    Attributes:
        pairs: The table with ``logit`` and ``probability`` (of a detector without a head: its similarity, and none).
        rates: Share of pairs at or above each threshold, by its name; :data:`PAPER` means above.
        thresholds: The scores, by the same names; of an audit with several the one that its summary has, and +∞ where
            it set none, which gives no rate.
        skipped: Path and reason of pictures that could not be read; their pairs are left out.
        left_out: How many pairs these are.
    """

    pairs: pd.DataFrame
    rates: dict[str, Rate]
    thresholds: dict[str, float]
    skipped: list[tuple[str, str]]
    left_out: int

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        return {
            name: {
                "threshold": finite(self.thresholds[name]),
                "n_memorized": rate.count,
                "n_pairs": rate.total,
                "rate": rate.value,
                "low": rate.low,
                "high": rate.high,
            }
            for name, rate in self.rates.items()
        }

    @property
    def lines(self) -> list[str]:
        """The rates for people, and what they leave out."""
        lines = [
            f"paired memorization rate, {name}: {rate.value:.1%} ({rate.count} of {rate.total} pairs; 95 % interval "
            f"{rate.low:.1%} to {rate.high:.1%})"
            for name, rate in self.rates.items()
        ]
        if self.thresholds.keys() - self.rates.keys():
            lines.append(f"paired memorization rate, {CALIBRATED}: none, the audit could set no threshold")
        if self.skipped:
            lines.append(f"pairs left out of it: {self.left_out}; for example {self.skipped[0][1]}")
        return lines

    def save(self, folder: Path) -> None:
        """Write ``paired.csv``, ``paired.json``, and ``paired-skipped.csv`` with the pictures that cannot be read."""
        folder.mkdir(parents=True, exist_ok=True)
        pairs, summary, skipped = (folder / name for name in PAIRED)
        write_table(self.pairs, pairs)
        write_json(self.summary | {"pairs_left_out": self.left_out}, summary)
        write_table(pd.DataFrame(self.skipped, columns=["path", "reason"]), skipped)


def paired_rates(
    scores: np.ndarray, thresholds: Mapping[str, float | np.ndarray], originals: np.ndarray, *, logits: bool
) -> dict[str, Rate]:
    """Share of pairs at each threshold, with its interval: samples of one real picture stand or fall together.

    Args:
        scores: ``[n]``.
        thresholds: By name; one for all pairs, or for each, ``[n]``.
        originals: The real picture of each pair, ``[n]``.
        logits: Whether scores are logits: then the paper's p > 0.5 comes first.
    """
    matched = {PAPER: scores > 0} if logits else {}
    matched |= {name: scores >= level for name, level in thresholds.items()}
    return {name: rate_of(hit, originals) for name, hit in matched.items()}


def check_pairs(source: Path | None, *, private: bool = False) -> None:
    """Say what is wrong with a table of pairs before anything is computed; None is no table.

    Raises:
        LCMemError: As of :func:`audit_pairs`, or names are to be hidden.
    """
    if source is None:
        return
    if private:
        raise LCMemError("--paired names pictures, so it does not go with --private")
    read_pairs(source, columns=COLUMNS)


def audit_pairs(
    source: Path,
    detector: Detector,
    *,
    audit: AuditResult | None = None,
    store: Store | None = None,
    workers: int | None = None,
) -> PairedResult:
    """Score each pair of a table.

    Args:
        source: CSV or Parquet with the columns ``synthetic`` and ``real``: paths, relative ones from its folder.
        detector: The model.
        audit: One of the synthetic pictures: the threshold that it has for each of them is another, :data:`CALIBRATED`.
        store: Where features are kept, such as an audit's; None keeps none.
        workers: Decoding processes.

    Raises:
        LCMemError: The table is missing or damaged, lacks a column, or none of its pairs can be scored.

    Warns:
        LCMemWarning: Synthetic pictures of the table are not the audit's, or it lists a pair again.
    """
    listed = _each_once(read_pairs(source, columns=COLUMNS))
    named = pd.DataFrame(listed.paths, columns=COLUMNS)
    # scaled alike, as the two sets of an audit are
    sets = same_depth({end: Manifest.of(pd.unique(named[end])) for end in COLUMNS})
    scaled = {end: dict(zip(pd.unique(named[end]), sets[end].paths, strict=True)) for end in COLUMNS}
    paths = np.stack([named[end].map(scaled[end]).to_numpy(dtype=object) for end in COLUMNS], axis=1)
    every, skipped = score_listed(source, paths, detector, store, workers)
    usable, known = ~np.isnan(every), detector.head is not None
    scores = every[usable]
    pairs = (
        listed.table[usable].assign(logit=scores, probability=probabilities(scores, detector)).reset_index(drop=True)
    )
    thresholds = {PAPER: 0.0} if known else {}
    at: dict[str, np.ndarray] = {}
    if audit is not None:
        _warn_of_others(audit, named)
        thresholds[CALIBRATED] = audit.calibration.logit
        levels = _of_audit(audit, paths[usable, 0])
        if np.isfinite(levels).any():  # else it set none, and not even equal pictures would reach it
            at[CALIBRATED] = levels
    rates = paired_rates(scores, at, paths[usable, 1], logits=known)
    return PairedResult(pairs, rates, thresholds, skipped, int((~usable).sum()))


def _each_once(listed: PairList) -> PairList:
    """The pairs without rows that list one again, of which a warning tells."""
    again = pd.DataFrame(listed.paths).duplicated().to_numpy()
    if not again.any():
        return listed
    text = f"{listed.source}: {int(again.sum())} rows list a pair again; each is used once"
    warnings.warn(text, LCMemWarning, stacklevel=3)
    return replace(listed, table=listed.table[~again].reset_index(drop=True), paths=listed.paths[~again])


def _warn_of_others(audit: AuditResult, named: pd.DataFrame) -> None:
    """Say how many pairs are of pictures that the audit did not see; ``named`` has both paths of each."""
    seen = {split_bits(path)[0] for path in audit.matches["synthetic"].unique()}
    known = named.map(lambda path: split_bits(path)[0] in seen)
    others = int((~known["synthetic"]).sum())
    if others:
        swapped = "; are the columns swapped?" if known["real"].sum() > known["synthetic"].sum() else ""
        warnings.warn(
            f"{others} of {len(named)} pairs name a synthetic picture that is not among those of the audit, or that "
            f"could not be read{swapped}",
            LCMemWarning,
            stacklevel=3,
        )


def _of_audit(audit: AuditResult, synthetic: np.ndarray) -> np.ndarray:
    """The threshold ``[n]`` that an audit has for pictures ``[n]`` (paths): that of the kind of their best match, the
    highest of those that it does not know."""
    first = first_matches(audit.matches)
    kinds = pd.Series(first["dataset"].to_numpy(), [split_bits(path)[0] for path in first["synthetic"]])
    kinds = kinds[~kinds.index.duplicated()]
    return audit.calibration.thresholds(kinds.reindex([split_bits(path)[0] for path in synthetic]).to_numpy(object))


def pairs_of_audit(source: Path, folder: Path, result: AuditResult, settings: AuditSettings) -> PairedResult:
    """Score each pair of a table with the model, the features and the threshold of an audit, and write it beside it.

    Args:
        source: As of :func:`audit_pairs`.
        folder: Of the audit.
        result: The audit.
        settings: Of the audit.

    Raises:
        LCMemError: As of :func:`audit_pairs`.
    """
    detector = settings.detector
    store = open_features(folder / "features", detector)
    found = audit_pairs(source, detector, audit=result, store=store, workers=settings.workers)
    found.save(folder)
    return found
