"""Re-identification: do two different pictures show the same identity? (Paper, section 4 and table 2.)"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.detectors.each import measure_each
from lcmem.detectors.entry import Options
from lcmem.errors import LCMemError
from lcmem.evaluation.pictures import SIZE, BenchmarkPictures
from lcmem.evaluation.reid.all_pairs import RATES, count_impostors
from lcmem.evaluation.reid.report import plot, plot_reliability, write_markdown
from lcmem.evaluation.reid.task import MIN_IDENTITIES, NOT_EXHAUSTIVE, Outcome, Task
from lcmem.evaluation.tables import write_csv
from lcmem.files import write_text
from lcmem.pairs import PROTOCOLS, identity_pairs, read_pairs, split_by_dataset, write_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.stats.bootstrap import METRICS, interval_columns

MACRO, MICRO = "macro", "micro"


def benchmark_reid(
    manifest: Manifest,
    detectors: Sequence[str | Detector],
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
        out: Folder for ``reid.csv``, ``reid.md``, ``reid.png``, ``reid.svg``, the list ``pairs.csv`` and, where scores
            are logits, ``reliability.png`` and ``reliability.svg``.
        protocol: How negative pairs are drawn, ``fixed`` or ``paper``: :func:`lcmem.pairs.identity_pairs`.
        pairs: A list to take instead: :func:`lcmem.pairs.read_pairs`.
        size: Side in pixels at which every detector gets the pictures.
        cache: Folder for decoded pictures and features. Default: ``out/cache``.
        options: How to load the detectors.
        seed: Random seed of negative pairs and of the bootstrap.
        bootstrap: Replicates for the 95 % intervals, in which identities are drawn again.

    Returns:
        One row for each dataset and detector, then ``macro`` (mean over the datasets with at least
        :data:`lcmem.evaluation.reid.task.MIN_IDENTITIES` identities of two or more pictures, or over all if none has
        as many; NaN where one of them has no number) and ``micro`` (all pairs together): ``dataset, detector,
        protocol, in_macro`` (whether the dataset counts there), ``n_identities, n_positive, n_negative``;
        ``auc``, ``specificity_at_99_sensitivity`` and ``precision_at_99_recall`` (:class:`lcmem.stats.roc.Roc`) each
        with ``_low`` and ``_high``; ``ece`` (expected calibration error, :mod:`lcmem.stats.reliability`; NaN where
        scores are no logits) and ``ece_chance``, which right probabilities exceed in one case of twenty;
        ``fnmr_at_fmr_1e-3``, ``fnmr_at_fmr_1e-4`` (:func:`lcmem.stats.roc.fnmr_at_fmr`),
        ``map_at_r``, ``precision_at_1`` (:func:`lcmem.evaluation.reid.all_pairs.compare_all`) and ``n_impostor``, the
        pairs of different identities behind them; with a list in folds ``accuracy`` and its standard error
        ``accuracy_se`` (:func:`lcmem.stats.roc.fold_accuracies`); and ``status``: ``ok``, or why a detector could not
        be measured.

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
        compared, protocol = (
            read_pairs(pairs, pictures.manifest).pairs(pictures.manifest),
            "lfw" if pairs.suffix == ".txt" else "list",
        )
    else:
        compared = identity_pairs(pictures.manifest, seed=seed, protocol=protocol)
    if not len(compared):
        raise LCMemError("no identity has two pictures: nothing to measure re-identification on")
    tasks = [
        Task.of(pictures, compared.at(at), name, listed=pairs is not None, seed=seed, replicates=bootstrap)
        for name, at in split_by_dataset(pictures.manifest, compared)
    ]
    sizes = _sizes(tasks)
    rows = measure_each(detectors, [*sizes], lambda detector: _measure(detector, tasks, pictures, cache), options)
    table = _table(rows, sizes, protocol)
    write_csv(table, folder / "reid.csv")
    write_pairs(pictures.manifest, compared, folder / "pairs.csv")
    write_markdown(table, pictures, folder / "reid.md", seed=seed, replicates=bootstrap)
    plot(table, folder)
    plot_reliability(rows, folder)
    if pictures.skipped:
        write_text("\n".join(reason for _, reason in pictures.skipped), folder / "skipped.txt")
    return table


def _counted(tasks: list[Task]) -> list[bool]:
    """Which datasets count in the macro mean."""
    large = [task.repeated >= MIN_IDENTITIES for task in tasks]
    return large if any(large) else [True] * len(tasks)


def _sizes(tasks: list[Task]) -> dict[str, dict[str, int]]:
    """What was compared, by dataset; macro has the numbers of the datasets that count there."""
    sizes = {task.name: task.sizes | {"in_macro": counts} for task, counts in zip(tasks, _counted(tasks), strict=True)}
    counted = [task for task in tasks if sizes[task.name]["in_macro"]]
    return sizes | {MACRO: _total(counted), MICRO: _total(tasks)}


def _total(tasks: list[Task]) -> dict[str, int]:
    total = {name: sum(task.sizes[name] for task in tasks) for name in ("n_positive", "n_negative")}
    people = {name for task in tasks for name in task.identities}  # some are in several datasets
    return total | {"n_identities": len(people), "in_macro": False}


def _measure(detector: Detector, tasks: list[Task], pictures: BenchmarkPictures, cache: Path) -> list[dict[str, Any]]:
    impostors = sum(count_impostors(task.identities) for task in tasks)
    keep = 1 + int(np.ceil(max(RATES.values()) * impostors))  # as many as the rates need of all datasets together
    outcomes = [task.compare(detector, pictures.features(detector, cache, task.rows), keep) for task in tasks]
    rows: list[dict[str, Any]] = [
        {"dataset": task.name} | outcome.numbers() for task, outcome in zip(tasks, outcomes, strict=True)
    ]
    counted = np.flatnonzero(_counted(tasks))
    points = np.mean([outcomes[at].point for at in counted], axis=0)
    macro = interval_columns(METRICS, points, np.mean([outcomes[at].replicates for at in counted], axis=0))
    macro |= {name: float(np.mean([rows[at][name] for at in counted])) for name in ("ece", *NOT_EXHAUSTIVE)}
    macro["n_impostor"] = sum(rows[at]["n_impostor"] for at in counted)
    return [*rows, {"dataset": MACRO} | macro, {"dataset": MICRO} | Outcome.pool(outcomes).numbers()]


def _table(rows: list[dict[str, Any]], sizes: dict[str, dict[str, int]], protocol: str) -> pd.DataFrame:
    """Rows by dataset, the columns in their order, empty where a detector failed."""
    metrics = [name + end for name in METRICS for end in ("", "_low", "_high")]
    accuracy = [name for name in ("accuracy", "accuracy_se") if any(name in row for row in rows)]
    counts = ("in_macro", "n_identities", "n_positive", "n_negative")
    columns = [
        "dataset",
        "detector",
        "protocol",
        *counts,
        *metrics,
        "ece",
        "ece_chance",
        *NOT_EXHAUSTIVE,
        *accuracy,
        "status",
    ]
    full = [{"protocol": protocol, "n_impostor": 0} | sizes[row["dataset"]] | row for row in rows]
    ordered = [row for dataset in sizes for row in full if row["dataset"] == dataset]
    return pd.DataFrame(ordered, columns=columns)
