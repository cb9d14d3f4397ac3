"""The re-identification table as Markdown, laid out as the paper's table 2, and as a figure."""

from pathlib import Path
from typing import Any

import pandas as pd

from lcmem.detectors.each import OK
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.evaluation.reid.task import MIN_IDENTITIES
from lcmem.evaluation.tables import by_family, markdown, panels, ranked, title, write_figure
from lcmem.files import write_text

HOW_DRAWN = {
    "fixed": "Both pictures of a negative pair are drawn at random, at most 10 positive pairs of one identity.",
    "paper": "All positive pairs; the second picture of a negative pair is always the first one of its identity, as in "
    "the official code.",
    "list": "The pairs are those of a given list.",
    "lfw": "The pairs are those of an official list of LFW.",
}
TABLE2 = {"auc": "AUC", "specificity_at_99_sensitivity": "specificity"}
OTHERS = {
    "precision_at_99_recall": "precision at 99 % recall",
    "ece": "calibration error",
    "ece_chance": "by chance up to",
    "fnmr_at_fmr_1e-3": "FNMR at FMR 1e-3",
    "fnmr_at_fmr_1e-4": "FNMR at FMR 1e-4",
    "map_at_r": "MAP@R",
    "precision_at_1": "precision at 1",
    "accuracy": "accuracy",
    "accuracy_se": "± standard error",
}
TOO_FEW = f"fewer than {MIN_IDENTITIES} identities with two or more pictures"
COLUMNS = 5
"""Datasets in one row of the figure."""


def write_markdown(
    table: pd.DataFrame, pictures: BenchmarkPictures, target: Path, *, seed: int, replicates: int
) -> None:
    """The table that :func:`lcmem.evaluation.reid.run.benchmark_reid` returns, for people."""
    table = without_repeats(table)
    protocol = table["protocol"].iloc[0]
    splits = ", ".join(sorted(set(pictures.manifest.table["split"]) - {""})) or "not divided"
    sizes = table.drop_duplicates("dataset")[["dataset", "n_identities", "n_positive", "n_negative"]]
    small = ", ".join(table.loc[~table["in_macro"] & ~table["dataset"].isin(["macro", "micro"]), "dataset"].unique())
    without = ", ".join(sorted(set(pictures.datasets) - set(table["dataset"])))
    failed = table[table["status"] != OK].drop_duplicates("detector")
    parts = [
        "# Re-identification",
        f"Protocol `{protocol}`. {HOW_DRAWN[protocol]} Split: {splits}. {len(pictures)} pictures at "
        f"{pictures.size}×{pictures.size} pixels, {len(pictures.skipped)} unreadable. Seed {seed}. "
        "Specificity is that at 99 % sensitivity; **best**, <u>second</u>; macro: mean over the datasets, micro: all "
        "pairs together.",
        _wide(table),
        f"95 % intervals from {replicates} replicates in which the identities are drawn again:",
        _with_intervals(table),
        "Precision and expected calibration error (10 bins of equal mass; a dash: scores are no logits) are taken on "
        "the same pairs, and so is the error that right probabilities would show in 19 of 20 cases, by chance up to; "
        "error rates and retrieval on every pair of pictures of a dataset (a dash: too few of them, a detector too "
        "slow for all of them, or a given list):",
        _others(table),
        "Pairs:",
        markdown([*sizes], [[str(cell) for cell in row] for row in sizes.itertuples(index=False)]),
        *([f"Shown, but not counted in macro ({TOO_FEW}): {small}."] if small else []),
        *([f"Without two pictures of one identity, so left out: {without}."] if without else []),
        *(f"Not measured: {title(row.detector)} ({row.status})." for row in failed.itertuples()),
    ]
    write_text("\n\n".join(parts), target)


def without_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Without macro and micro where there is but one dataset."""
    if table["dataset"].nunique() != 3:
        return table
    return table[table["dataset"] == table["dataset"].iloc[0]]


def _wide(table: pd.DataFrame) -> str:
    datasets = list(dict.fromkeys(table["dataset"]))
    cells = {}
    for dataset in datasets:
        part = table[table["dataset"] == dataset].set_index("detector")
        for column in TABLE2:
            cells[dataset, column] = dict(zip(part.index, ranked(part[column].tolist()), strict=True))
    rows = []
    for heading, names in by_family(list(dict.fromkeys(table["detector"]))):
        rows.append([f"*{heading}*", *[""] * len(cells)])
        rows += [[title(name), *(column[name] for column in cells.values())] for name in names]
    return markdown(["method", *(f"{dataset} {TABLE2[column]}" for dataset, column in cells)], rows)


def _with_intervals(table: pd.DataFrame) -> str:
    rows = []
    for row in table[table["status"] == OK].to_dict("records"):
        cells = [f"{row[name]:.3f} ({row[name + '_low']:.3f} to {row[name + '_high']:.3f})" for name in TABLE2]
        rows.append([str(row["dataset"]), title(str(row["detector"])), *cells])
    return markdown(["dataset", "method", *TABLE2.values()], rows)


def _others(table: pd.DataFrame) -> str:
    known = [name for name in OTHERS if name in table]
    rows = [
        [str(row["dataset"]), title(str(row["detector"])), *(_number(row[name]) for name in known)]
        for row in table[table["status"] == OK].to_dict("records")
    ]
    return markdown(["dataset", "method", *(OTHERS[name] for name in known)], rows)


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def plot(table: pd.DataFrame, folder: Path) -> None:
    """AUC of each detector with its interval, one panel for each dataset: ``reid.png`` and ``reid.svg``."""
    table = without_repeats(table)
    datasets = list(dict.fromkeys(table["dataset"]))
    names = [name for _, group in by_family(list(dict.fromkeys(table["detector"]))) for name in group]
    side = (2.4, 1 + 0.28 * len(names))
    figure, every = panels(len(datasets), COLUMNS, side, (2, 0), sharex=True, sharey=True)
    for panel, dataset in zip(every, datasets, strict=True):
        part = table[table["dataset"] == dataset].set_index("detector").loc[names]
        places = range(len(names))
        panel.hlines(places, part["auc_low"], part["auc_high"], color="#2471a3", lw=1.5)
        panel.plot(part["auc"], places, "o", color="#2471a3", ms=5)
        panel.axvline(0.5, color="#7f8c8d", lw=1, ls=":")
        panel.set_title(dataset, fontsize=10)
        panel.set_yticks(places, [title(name) for name in names])
        panel.grid(axis="x", alpha=0.3)
    every[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel(f"AUC, 95 % intervals over identities; protocol {table['protocol'].iloc[0]}", fontsize=10)
    write_figure(figure, folder / "reid")


def plot_reliability(rows: list[dict[str, Any]], folder: Path) -> None:
    """Share of positive pairs by stated probability, a panel for each dataset: ``reliability.png`` and ``.svg``.

    Args:
        rows: With ``dataset``, ``detector`` and ``curve``; those without a curve are left out.
        folder: Where; nothing is written if there is no curve.
    """
    known = [row for row in rows if row.get("curve") is not None]
    datasets = list(dict.fromkeys(row["dataset"] for row in known))
    if not known:
        return
    figure, every = panels(len(datasets), COLUMNS, (2.6, 2.6), (0, 0.5), sharex=True, sharey=True)
    for panel, dataset in zip(every, datasets, strict=True):
        panel.plot((0, 1), (0, 1), color="#7f8c8d", lw=1, ls=":")
        for row in known:
            if row["dataset"] == dataset:
                panel.plot(row["curve"].probability, row["curve"].share, "o-", ms=3, lw=1, label=title(row["detector"]))
        panel.set_title(dataset, fontsize=10)
        panel.legend(frameon=False, fontsize=7)
    figure.supxlabel("probability of a match\n(10 bins of equal mass)", fontsize=9)
    figure.supylabel("share of positive pairs,\nboth kinds weighted to one half", fontsize=9)
    write_figure(figure, folder / "reliability")
