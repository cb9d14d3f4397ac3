"""Re-identification: do two different pictures show the same identity? (Paper, section 4 and table 2.)"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from lcmem.benchmark.bootstrap import METRICS, Resampling, interval, measure
from lcmem.benchmark.exhaustive import CELLS, RATES, Exhaustive, compare_all, count_impostors
from lcmem.benchmark.features import FeatureCache
from lcmem.benchmark.pairlist import read_pairs, write_pairs
from lcmem.benchmark.pictures import SIZE, BenchmarkPictures
from lcmem.benchmark.reid_report import write_figure, write_markdown
from lcmem.benchmark.running import measure_each
from lcmem.benchmark.tables import write_csv, write_text
from lcmem.detectors.base import Detector
from lcmem.detectors.registry import Options
from lcmem.errors import LCMemError
from lcmem.manifest import Manifest
from lcmem.metrics import Roc, fold_accuracies
from lcmem.pairs import Pairs, identity_pairs, split_by_dataset
from lcmem.progress import progress_bar

PROTOCOLS = ("fixed", "paper")
MACRO, MICRO = "macro", "micro"
CHUNK = 4096
NOT_EXHAUSTIVE: dict[str, float] = dict.fromkeys((*RATES, "map_at_r", "precision_at_1"), float("nan")) | {
    "n_impostor": 0
}


def benchmark_reid(
    manifest: Manifest,
    detectors: Sequence[str],
    out: str | os.PathLike[str],
    *,
    protocol: str = "fixed",
    pairs: Path | None = None,
    size: int = SIZE,
    cache: Path | None = None,
    options: Options | None = None,
    seed: int = 0,
    bootstrap: int = 1000,
) -> pd.DataFrame:
    """How well each detector separates pairs of one identity from pairs of two, on each dataset with identities.

    The metrics of table 2 are taken on all positive pairs and as many negative ones of the same dataset (or on a given
    list). Error rates at strict thresholds and retrieval need every pair of a dataset; a detector that is too slow for
    that, or a given list, has none (NaN).

    Args:
        manifest: The test pictures.
        detectors: As :func:`lcmem.detectors.registry.load_detector` takes them.
        out: Folder for ``reid.csv``, ``reid.md``, ``reid.png``, ``reid.svg`` and the list ``pairs.csv``.
        protocol: How negative pairs are drawn, ``fixed`` or ``paper``: :func:`lcmem.pairs.identity_pairs`.
        pairs: A list to take instead: :func:`lcmem.benchmark.pairlist.read_pairs`.
        size: Side in pixels at which every detector gets the pictures.
        cache: Folder for decoded pictures and features. Default: ``out/cache``.
        options: How to load the detectors.
        seed: Of negative pairs and of the bootstrap.
        bootstrap: Replicates for the 95 % intervals, in which identities are drawn again.

    Returns:
        One row for each dataset and detector, then ``macro`` (mean over the datasets; NaN where one of them has no
        number) and ``micro`` (all pairs together): ``dataset, detector, protocol, n_identities, n_positive,
        n_negative``; ``auc``, ``specificity_at_99_sensitivity`` and ``precision_at_99_recall``
        (:class:`lcmem.metrics.Roc`) each with ``_low`` and ``_high``; ``fnmr_at_fmr_1e-3``, ``fnmr_at_fmr_1e-4``
        (:func:`lcmem.metrics.fnmr_at_fmr`), ``map_at_r``, ``precision_at_1``
        (:func:`lcmem.benchmark.exhaustive.compare_all`) and ``n_impostor``, the pairs of different identities behind
        them; with a list in folds ``accuracy`` and its standard error ``accuracy_se``
        (:func:`lcmem.metrics.fold_accuracies`); and ``status``: ``ok``, or why a detector could not be measured.

    Raises:
        LCMemError: An unknown protocol, a bad list, or nothing to compare.
    """
    if protocol not in PROTOCOLS:
        raise LCMemError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    cache = cache or folder / "cache"
    pictures = BenchmarkPictures.read(manifest, cache, size)
    if pairs is not None:
        compared, protocol = read_pairs(pairs, pictures.manifest), "lfw" if pairs.suffix == ".txt" else "list"
    else:
        compared = identity_pairs(pictures.manifest, seed=seed, protocol=protocol)
    if not len(compared):
        raise LCMemError("no identity has two pictures: nothing to measure re-identification on")
    tasks = [
        _Task.of(pictures, compared, at, name, listed=pairs is not None, seed=seed, replicates=bootstrap)
        for name, at in split_by_dataset(pictures.manifest, compared)
    ]
    sizes = {task.name: task.sizes for task in tasks}
    total = {name: sum(each[name] for each in sizes.values()) for name in ("n_identities", "n_positive", "n_negative")}
    sizes |= {MACRO: total, MICRO: total}
    rows = measure_each(
        detectors, [*sizes], lambda detector: _measure(detector, tasks, pictures, FeatureCache(cache)), options
    )
    table = _table(rows, sizes, protocol)
    write_csv(table, folder / "reid.csv")
    write_pairs(pictures.manifest, compared, folder / "pairs.csv")
    write_markdown(table, pictures, folder / "reid.md", seed=seed, replicates=bootstrap)
    write_figure(table, folder)
    if pictures.skipped:
        write_text("\n".join(pictures.skipped), folder / "skipped.txt")
    return table


@dataclass(frozen=True)
class _Task:
    """What is compared in one dataset.

    Attributes:
        name: Of the dataset.
        rows: Positions of its pictures, ``[N]``.
        identities: Theirs, ``[N]``.
        pairs: Positions in ``rows``.
        listed: Whether the pairs were given: then only they are compared.
        resampling: Of the pairs.
    """

    name: str
    rows: np.ndarray
    identities: np.ndarray
    pairs: Pairs
    listed: bool
    resampling: Resampling

    @classmethod
    def of(
        cls,
        pictures: BenchmarkPictures,
        pairs: Pairs,
        at: np.ndarray,
        name: str,
        *,
        listed: bool,
        seed: int,
        replicates: int,
    ) -> "_Task":
        """The pairs at some positions of the whole list."""
        first, second, same = pairs.first[at], pairs.second[at], pairs.same[at]
        identities = np.array(pictures.manifest.identities, dtype=object)
        known = pictures.manifest.table
        inside = (known["dataset"] == name) & (known["identity"] != "")
        rows = np.unique((first, second)) if listed else np.flatnonzero(inside)
        resampling = Resampling.draw(
            identities[first], identities[second], same, replicates=replicates, seed=seed, name=name
        )
        fold = None if pairs.fold is None else pairs.fold[at]
        local = Pairs(np.searchsorted(rows, first), np.searchsorted(rows, second), same, fold)
        return cls(name, rows, identities[rows], local, listed, resampling)

    @property
    def sizes(self) -> dict[str, int]:
        """``n_identities, n_positive, n_negative``."""
        positive = int(self.pairs.same.sum())
        return {
            "n_identities": len(set(self.identities)),
            "n_positive": positive,
            "n_negative": len(self.pairs) - positive,
        }


def _measure(
    detector: Detector, tasks: list[_Task], pictures: BenchmarkPictures, cache: FeatureCache
) -> list[dict[str, Any]]:
    keep = 1 + int(max(RATES.values()) * sum(count_impostors(task.identities) for task in tasks))
    rows: list[dict[str, Any]] = []
    scores, points, replicates, exhaustive = [], [], [], []
    for task in tasks:
        features = pictures.features(detector, cache, task.rows)
        scores.append(_score(detector, features, task))
        points.append(measure(Roc.of(scores[-1], task.pairs.same)))
        replicates.append(task.resampling.measure(scores[-1]))
        others = NOT_EXHAUSTIVE
        if detector.exhaustive and not task.listed:
            exhaustive.append(compare_all(detector, features, task.identities, keep, task.name))
            others = exhaustive[-1].measure()
        accuracy = _accuracy(scores[-1], task.pairs.same, task.pairs.fold)
        rows.append({"dataset": task.name} | _intervals(points[-1], replicates[-1]) | others | accuracy)
    means: dict[str, float] = {name: float(np.mean([row[name] for row in rows])) for name in NOT_EXHAUSTIVE}
    means["n_impostor"] = sum(row["n_impostor"] for row in rows)
    macro = _intervals(np.mean(points, axis=0), np.mean(replicates, axis=0)) | means
    everything, pooled = np.concatenate(scores), Resampling.pool([task.resampling for task in tasks])
    together = Exhaustive.pool(exhaustive).measure() if exhaustive else NOT_EXHAUSTIVE
    folds = None if tasks[0].pairs.fold is None else np.concatenate([task.pairs.fold for task in tasks])
    micro = _intervals(measure(Roc.of(everything, pooled.same)), pooled.measure(everything)) | together
    micro |= _accuracy(everything, pooled.same, folds)
    return [*rows, {"dataset": MACRO} | macro, {"dataset": MICRO} | micro]


def _score(detector: Detector, features: Tensor, task: _Task) -> np.ndarray:
    """``[P]`` float64."""
    pairs, parts = task.pairs, []
    chunk = max(1, min(CHUNK, CELLS // features.shape[1]))
    with progress_bar(f"{detector.name}: pairs of {task.name}", len(pairs)) as advance:
        for start in range(0, len(pairs), chunk):
            first, second = pairs.first[start : start + chunk], pairs.second[start : start + chunk]
            parts.append(detector.similarity(features[first], features[second]).double().numpy())
            advance(len(first))
    scores = np.concatenate(parts)
    if np.isnan(scores).any():
        raise LCMemError(f"{detector.name}: scores that are not numbers (NaN)")
    return scores


def _intervals(point: np.ndarray, replicates: np.ndarray) -> dict[str, float]:
    low, high = interval(replicates)
    found: dict[str, float] = {}
    for name, *values in zip(METRICS, point, low, high, strict=True):
        found |= {name + end: float(value) for end, value in zip(("", "_low", "_high"), values, strict=True)}
    return found


def _accuracy(scores: np.ndarray, same: np.ndarray, fold: np.ndarray | None) -> dict[str, float]:
    if fold is None or len(set(fold)) < 2:
        return {}
    shares = fold_accuracies(scores, same, fold)
    return {"accuracy": float(shares.mean()), "accuracy_se": float(shares.std(ddof=1) / len(shares) ** 0.5)}


def _table(rows: list[dict[str, Any]], sizes: dict[str, dict[str, int]], protocol: str) -> pd.DataFrame:
    """Rows by dataset, the columns in their order, empty where a detector failed."""
    metrics = [name + end for name in METRICS for end in ("", "_low", "_high")]
    accuracy = [name for name in ("accuracy", "accuracy_se") if any(name in row for row in rows)]
    columns = ["dataset", "detector", "protocol", *sizes[MICRO], *metrics, *NOT_EXHAUSTIVE, *accuracy, "status"]
    full = [{"protocol": protocol, "n_impostor": 0} | sizes[row["dataset"]] | row for row in rows]
    ordered = [row for dataset in sizes for row in full if row["dataset"] == dataset]
    return pd.DataFrame(ordered, columns=columns)
