"""Every test picture against every other one (paper, section 4.4 and figure 6), on the scan engine."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.trained import TrainedDetector
from lcmem.errors import LCMemError
from lcmem.evaluation.features import FeatureCache
from lcmem.evaluation.pictures import SIZE, BenchmarkPictures
from lcmem.evaluation.running import measure_each
from lcmem.evaluation.tables import write_csv, write_figure
from lcmem.jobs.scan import draw_histogram
from lcmem.pictures.manifest import Manifest
from lcmem.scan import ScanResult, scan
from lcmem.stats.calibration import DEFAULT_RATE, conformal_quantile

ALL = "all"
"""The row of all datasets in one gallery."""


@dataclass(frozen=True)
class _Set:
    """Features, identities and datasets of one split, in the order of the manifest."""

    features: np.ndarray
    identities: np.ndarray
    datasets: np.ndarray

    @classmethod
    def of(cls, pictures: BenchmarkPictures, detector: Detector, cache: FeatureCache) -> "_Set":
        features = pictures.features(detector, cache, np.arange(len(pictures)))
        identities = pd.factorize(pd.Series(pictures.manifest.identities))[0].astype(np.int64)
        return cls(features.numpy(), identities, pictures.manifest.table["dataset"].to_numpy())

    def rows(self, dataset: str) -> np.ndarray:
        return np.flatnonzero((self.datasets == dataset) | (dataset == ALL))

    def count(self, dataset: str) -> int:
        """Identities of a dataset."""
        return len(np.unique(self.identities[self.rows(dataset)]))

    def scan(self, detector: TrainedDetector, dataset: str, threshold: float) -> ScanResult:
        rows = self.rows(dataset)
        features, codes = self.features[rows], self.identities[rows]
        model = detector.model
        return scan(
            features,
            None,
            model.weight.cpu(),
            model.bias.cpu(),
            threshold=threshold,
            query_codes=codes,
            device=model.device,
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
        detectors: Checkpoints: the engine compares weighted L1 distances.
        out: Folder for ``one_vs_all.csv`` and a figure for each detector.
        size: Side of the pictures in pixels.
        cache: Folder for decoded pictures and features. Default: ``out/cache``.
        options: How to load the detectors.

    Returns:
        ``dataset, detector, threshold_rule, threshold, n_pictures, n_identities, n_positive, n_negative, recall``
        (share of positive pairs above the threshold), ``false_positive_rate`` (of negative pairs), ``false_rejects,
        false_reject_rate, seconds, pairs_per_second, status``.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    kept = cache or folder / "cache"
    pictures = BenchmarkPictures.read(test, kept, size)
    calibration = None if val is None else BenchmarkPictures.read(val, kept, size)
    store = FeatureCache(kept)
    datasets = [*pictures.datasets, ALL] if len(pictures.datasets) > 1 else pictures.datasets

    def measure(detector: Detector) -> list[dict[str, Any]]:
        if not isinstance(detector, TrainedDetector):
            raise LCMemError("no checkpoint: the scan engine compares weighted L1 distances only")
        tested = _Set.of(pictures, detector, store)
        known = None if calibration is None else _Set.of(calibration, detector, store)
        rows: list[dict[str, Any]] = []
        results: dict[str, ScanResult] = {}
        for dataset in datasets:
            thresholds = {"p > 0.5": 0.0}
            if known is not None and (dataset == ALL or dataset in known.datasets):
                calibrated = _calibrated(known, detector, dataset)
                if np.isfinite(calibrated):  # else there is only one identity
                    thresholds["1 % of val"] = calibrated
            for rule, threshold in thresholds.items():
                began = time.perf_counter()
                found = tested.scan(detector, dataset, threshold)
                rows.append(_row(dataset, rule, tested.count(dataset), found, time.perf_counter() - began))
                results.setdefault(dataset, found)
        _plot(results, folder / f"one_vs_all-{detector.name}")
        return rows

    table = pd.DataFrame(measure_each(detectors, datasets, measure, options))
    write_csv(table, folder / "one_vs_all.csv")
    return table


def _calibrated(known: _Set, detector: TrainedDetector, dataset: str) -> float:
    """The logit that a picture reaches by chance in :data:`DEFAULT_RATE` of cases; NaN if there is one identity."""
    found = known.scan(detector, dataset, np.inf).different
    assert found is not None
    finite = found.logits[np.isfinite(found.logits[:, 0]), 0]
    return conformal_quantile(finite, DEFAULT_RATE)[0] if len(finite) else float("nan")


def _row(dataset: str, rule: str, identities: int, found: ScanResult, seconds: float) -> dict[str, Any]:
    positive, negative = (int(found.histogram.counts[kind].sum()) for kind in ("same", "different"))
    rejected = 0 if found.failures is None else len(found.failures)
    pictures = len(found.best.logits)
    return {
        "dataset": dataset,
        "threshold_rule": rule,
        "threshold": found.threshold,
        "n_pictures": pictures,
        "n_identities": identities,
        "n_positive": positive,
        "n_negative": negative,
        "recall": found.match_counts["same"] / positive if positive else float("nan"),
        "false_positive_rate": found.match_counts["different"] / negative if negative else float("nan"),
        "false_rejects": rejected,
        "false_reject_rate": rejected / pictures,
        "seconds": seconds,
        "pairs_per_second": found.pairs / seconds,
    }


def _plot(results: dict[str, ScanResult], target: Path) -> None:
    """A panel for each dataset."""
    columns = min(3, len(results))
    lines = -(-len(results) // columns)
    figure = Figure(figsize=(4 * columns, 2.3 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (dataset, found) in zip(panels, results.items(), strict=False):
        draw_histogram(axes, found.histogram, 0)
        axes.set_title(dataset, fontsize=9)
        axes.set_yticks([])
    for axes in panels[len(results) :]:
        axes.axis("off")
    figure.supxlabel("logit (right: more alike)", fontsize=9)
    write_figure(figure, target)
