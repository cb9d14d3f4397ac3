"""Re-identification against copy detection: who can do both (paper, figure 1)?"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lcmem.detectors.each import OK
from lcmem.errors import LCMemError
from lcmem.evaluation.copy.summary import STRONGEST
from lcmem.evaluation.tables import FAMILIES, family, title, write_csv, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AUC = ["auc", "auc_low", "auc_high"]
RATES = ["recall", "recall_low", "recall_high", "false_positive_rate"]
COLOURS = dict(
    zip(FAMILIES, ("#7f8c8d", "#2471a3", "#c0392b", "#b9770e", "#7d3c98", "#212f3d", "#1e8449"), strict=True)
)


def joint(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Put both benchmarks of one folder together.

    Args:
        folder: With ``reid.csv`` and ``copy.csv``; gets ``joint.csv``, ``joint.png`` and ``joint.svg``.

    Returns:
        ``detector, protocol``; ``auc, auc_low, auc_high`` (re-identification, mean over the datasets); ``recall,
        recall_low, recall_high, false_positive_rate`` (means over the datasets and over the paper's transforms at their
        strongest, threshold of 50 % specificity); ``dims`` (numbers in a feature); ``status`` (``ok``, or why there is
        no number).

    Raises:
        LCMemError: One of the two tables is not there, or no detector is in both with the same protocol.
    """
    place = Path(folder)
    reid = _read(place / "reid.csv", AUC)
    copies = _read(place / "copy.csv", [*RATES, "dims", "transform", "threshold_rule"])
    keys = ["detector", "protocol"]
    macro = reid[reid["dataset"] == "macro"].groupby(keys, sort=False)[AUC].first()
    chosen = (copies["transform"] == STRONGEST) & (copies["threshold_rule"] == "specificity-50")
    strong = copies[chosen].groupby(keys, sort=False)[[*RATES, "dims"]].first()
    known = pd.concat((reid[keys], copies[keys])).drop_duplicates().set_index(keys)
    table = known.join(macro).join(strong)
    table = table.join(_reasons(reid, copies, keys)).reset_index()
    measured = {"not in reid.csv": table["auc"].notna(), "not in copy.csv": table["recall"].notna()}
    for reason, good in measured.items():
        table["status"] = table["status"].where(good | table["status"].notna(), reason)
    table["status"] = table["status"].where(~pd.concat(measured, axis=1).all(axis=1), OK)
    table = table.astype({"dims": "Int64"})
    if not (table["status"] == OK).any():
        raise LCMemError(f"{place}: no detector is in both reid.csv and copy.csv with the same protocol")
    write_csv(table, place / "joint.csv")
    write_figure(joint_figure(table), place / "joint")
    return table


def joint_figure(table: pd.DataFrame) -> "Figure":
    """Figure 1: a marker for each detector, its area growing with the features' dimension."""
    from matplotlib.figure import Figure

    rows = table[table["status"] == OK]
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    for key, heading in FAMILIES.items():
        part = rows[[family(name) == key for name in rows["detector"]]]
        if len(part):
            areas = 4 * part["dims"].astype(float) ** 0.5
            axes.scatter(part["auc"], part["recall"], areas, color=COLOURS[key], alpha=0.6)
            axes.hlines(part["recall"], part["auc_low"], part["auc_high"], color=COLOURS[key], lw=0.8)
            axes.vlines(part["auc"], part["recall_low"], part["recall_high"], color=COLOURS[key], lw=0.8)
            axes.scatter([], [], 40, color=COLOURS[key], label=heading)
            axes.scatter(part["auc"], part["false_positive_rate"], 40, color=COLOURS[key], marker="_")
            axes.vlines(part["auc"], part["false_positive_rate"], part["recall"], color=COLOURS[key], lw=0.6, ls=":")
    axes.set_xlabel("re-identification: AUC, mean over the datasets")
    axes.set_ylabel("copy detection: recall on the strongest edits\n(dash: false positive rate at the same threshold)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.15)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    protocols = ", ".join(sorted(set(rows["protocol"])))
    figure.suptitle(f"area: feature dimension; lines: 95 % intervals; protocol {protocols}", fontsize=9)
    figure.draw_without_rendering()  # only then is it known where the markers are
    _label(axes, rows)
    return figure


def _label(axes: "Axes", rows: pd.DataFrame) -> None:
    """The names beside the markers, moved down where they would cover each other."""
    centre, taken = sum(axes.get_xlim()) / 2, list[Any]()
    for row in rows.sort_values("recall", ascending=False).itertuples():
        side = ("right", -6) if row.auc > centre else ("left", 6)  # towards the middle, where there is room
        label = axes.annotate(
            title(row.detector), (row.auc, row.recall), xytext=(side[1], 6), textcoords="offset points", ha=side[0],
            fontsize=8,
        )  # fmt: skip
        box = label.get_window_extent()
        while any(box.overlaps(other) for other in taken):
            label.set_position((side[1], label.get_position()[1] - 3))
            box = label.get_window_extent()
        taken.append(box)


def _reasons(reid: pd.DataFrame, copies: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Why detectors failed in one of the benchmarks."""
    both = pd.concat((reid, copies))
    return both[both["status"] != OK].groupby(keys)["status"].first().astype(object)


def _read(path: Path, numbers: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise LCMemError(f"{path}: not there; run 'lcmem benchmark {path.stem}' with the same --out first")
    table = pd.read_csv(path)
    missing = {"dataset", "detector", "protocol", "status", *numbers} - {*table.columns}
    if missing:
        raise LCMemError(f"{path}: no column {missing.pop()!r}; run 'lcmem benchmark {path.stem}' again")
    return table
