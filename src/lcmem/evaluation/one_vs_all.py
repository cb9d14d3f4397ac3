"""Every test picture against every other one (paper, section 4.4 and figure 6), on the scan engine."""

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.detectors.each import measure_each
from lcmem.detectors.entry import Options
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.evaluation.pictures import SIZE, BenchmarkPictures
from lcmem.evaluation.tables import panels, write_csv, write_figure
from lcmem.pictures.manifest import Manifest
from lcmem.report.histogram import draw_histogram
from lcmem.scan import ScanResult, scan
from lcmem.stats.bootstrap import draw_counts, interval_columns
from lcmem.stats.calibration import DEFAULT_RATE
from lcmem.stats.chance import Chance

ALL = "all"
"""The row of all datasets in one gallery."""
REPLICATES = 1000
"""Bootstrap replicates of the 95 % intervals."""


@dataclass(frozen=True)
class _Set:
    """Features, identities (numbered and by name) and datasets of one split, in the order of the manifest."""

    features: np.ndarray
    identities: np.ndarray
    names: np.ndarray
    datasets: np.ndarray

    @classmethod
    def of(cls, pictures: BenchmarkPictures, detector: Detector, cache: Path) -> "_Set":
        features = pictures.features(detector, cache, np.arange(len(pictures)))
        names = np.array(pictures.manifest.identities, dtype=object)
        return cls(
            features.numpy(), pictures.manifest.identity_numbers, names, pictures.manifest.table["dataset"].to_numpy()
        )

    def rows(self, dataset: str) -> np.ndarray:
        return np.flatnonzero((self.datasets == dataset) | (dataset == ALL))

    def scan(self, detector: Detector, dataset: str, threshold: float, out: Path | None = None) -> ScanResult:
        rows = self.rows(dataset)
        features, codes = self.features[rows], self.identities[rows]
        assert detector.head is not None
        return scan(
            features,
            None,
            detector.head,
            threshold=threshold,
            query_identities=codes,
            out=out,  # all matches at p > 0.5 of a weak detector do not fit into memory
            device=detector.head.weight.device,
            title=f"{detector.name}: {dataset}",
        )


def benchmark_one_vs_all(
    test: Manifest,
    val: Manifest | None,
    detectors: Sequence[str | Detector],
    out: str | os.PathLike[str],
    *,
    size: int = SIZE,
    cache: Path | None = None,
    options: Options | None = None,
) -> pd.DataFrame:
    """Positive and negative scores of all pairs, and how many pictures of unseen identities would be rejected.

    A picture is falsely rejected if any picture of another identity matches it: had a generator made it, the filter
    would throw it away although it shows nobody of the gallery. A picture without identity is its own.

    Args:
        test: The pictures; each dataset is compared within itself, then all together.
        val: Pictures on which a stricter threshold is calibrated, so that 1 % of them are falsely rejected in their own
            dataset; None only uses the paper's p > 0.5.
        detectors: Those with a head: the engine compares weighted L1 distances.
        out: Folder for ``one_vs_all.csv`` and a figure for each detector.
        size: Side of the pictures in pixels.
        cache: Folder for decoded pictures and features. Default: ``out/cache``.
        options: How to load the detectors.

    Returns:
        ``dataset, detector, threshold_rule, threshold, n_pictures, n_identities, n_positive, n_negative, recall``
        (share of positive pairs above the threshold), ``false_positive_rate`` (of negative pairs), ``false_rejects,
        false_reject_rate`` with ``_low`` and ``_high`` (95 % interval over identities), ``seconds, pairs_per_second``
        (of one scan for all thresholds) and ``status``.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    kept = cache or folder / "cache"
    pictures = BenchmarkPictures.read(test, kept, size)
    calibration = None if val is None else BenchmarkPictures.read(val, kept, size)
    datasets = [*pictures.datasets, ALL] if len(pictures.datasets) > 1 else pictures.datasets

    def measure(detector: Detector) -> list[dict[str, Any]]:
        if detector.head is None:
            raise LCMemError(f"{detector.name}: the scan engine compares weighted L1 distances only")
        tested = _Set.of(pictures, detector, kept)
        known = None if calibration is None else _Set.of(calibration, detector, kept)
        rows: list[dict[str, Any]] = []
        results: dict[str, ScanResult] = {}
        for dataset in datasets:
            thresholds = {"p > 0.5": 0.0}
            if known is not None and (dataset == ALL or dataset in known.datasets):
                calibrated = _calibrated(known, detector, dataset)
                if np.isfinite(calibrated):  # else there is only one identity
                    thresholds["1 % of val"] = calibrated
            with TemporaryDirectory(prefix="lcmem-") as spare:
                began = time.perf_counter()
                found = tested.scan(detector, dataset, min(thresholds.values()), Path(spare))
                seconds = time.perf_counter() - began
                identities = tested.names[tested.rows(dataset)]
                rows += [_row(dataset, rule, level, identities, found, seconds) for rule, level in thresholds.items()]
            results[dataset] = found
        _plot(results, folder / f"one_vs_all-{detector.name}")
        return rows

    table = pd.DataFrame(measure_each(detectors, datasets, measure, options))
    write_csv(table, folder / "one_vs_all.csv")
    return table


def _calibrated(known: _Set, detector: Detector, dataset: str) -> float:
    """The logit that a picture reaches by chance in :data:`DEFAULT_RATE` of cases; NaN if there is one identity."""
    found = known.scan(detector, dataset, np.inf).different
    assert found is not None
    finite = found.logits[np.isfinite(found.logits[:, 0]), 0]
    if not len(finite):
        return float("nan")
    # a share of these pictures themselves, each of which counts: not what holds for other people
    pictures = Chance(finite, np.arange(len(finite)), mutual=False)
    if len(finite) < pictures.needed(DEFAULT_RATE):
        warnings.warn(
            f"{dataset!r}: {len(finite)} pictures of the validation split cannot show a rate of {DEFAULT_RATE:.0%}, "
            f"but {pictures.expected(np.inf):.1%}; the threshold lies above all their scores",
            LCMemWarning,
            stacklevel=3,
        )
    return pictures.threshold(DEFAULT_RATE)


def _row(
    dataset: str, rule: str, threshold: float, identities: np.ndarray, found: ScanResult, seconds: float
) -> dict[str, Any]:
    """One threshold, from a scan at this or a lower one; ``identities`` ``[N]`` are those of the pictures."""
    positive, negative = (int(found.histogram.counts[kind].sum()) for kind in ("same", "different"))
    matched = {kind: 0 for kind in ("same", "different")}
    for part in found.match_chunks():
        kinds = part["kind"][part["logit"] >= threshold].value_counts()
        matched = {kind: count + int(kinds.get(kind, 0)) for kind, count in matched.items()}
    rejected = np.zeros(len(identities)) if found.different is None else found.different.logits[:, 0] >= threshold
    counts = draw_counts(identities, replicates=REPLICATES, seed=0)
    rejects = interval_columns(
        ["false_reject_rate"], [rejected.mean()], (counts @ rejected / np.maximum(counts.sum(1), 1))[None]
    )
    return {
        "dataset": dataset,
        "threshold_rule": rule,
        "threshold": threshold,
        "n_pictures": len(identities),
        "n_identities": len(set(identities)),
        "n_positive": positive,
        "n_negative": negative,
        "recall": matched["same"] / positive if positive else float("nan"),
        "false_positive_rate": matched["different"] / negative if negative else float("nan"),
        "false_rejects": int(rejected.sum()),
        **rejects,
        "seconds": seconds,
        "pairs_per_second": found.pairs / seconds,
    }


def _plot(results: dict[str, ScanResult], target: Path) -> None:
    """A panel for each dataset."""
    figure, every = panels(len(results), 3, (4, 2.3))
    for axes, (dataset, found) in zip(every, results.items(), strict=True):
        draw_histogram(axes, found.histogram, 0)
        axes.set_title(dataset, fontsize=9)
        axes.set_yticks([])
    figure.supxlabel("logit (right: more alike)", fontsize=9)
    write_figure(figure, target)
