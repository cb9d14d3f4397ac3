"""Figures 3, 4 and 5 of the paper for the detectors that were measured."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from lcmem.evaluation.copy.summary import strongest
from lcmem.evaluation.copy.transforms import PAPER, TRANSFORMS
from lcmem.evaluation.copy.variants import Variant, edited_copy
from lcmem.evaluation.pictures import SIZE
from lcmem.evaluation.tables import panels, title
from lcmem.pictures.image import PictureLike, load_levels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTE = "threshold: 50 % specificity on the validation split; mean over the datasets; protocol {protocol}"


def strongest_figure(table: pd.DataFrame) -> "Figure":
    """Figure 4: recall (full dots) and false positive rate (hollow dots) at the strongest strength."""
    rows = strongest(table)
    mean = rows.groupby("detector", sort=False, as_index=False)[["recall", "false_positive_rate"]].mean()
    parts = [(f"{name} {part['strength'].iloc[0]:g}", part) for name, part in rows.groupby("transform", sort=False)]
    parts = [("mean", mean), *parts]
    order = mean.sort_values("recall")["detector"].tolist()
    figure, grid = panels(len(parts), len(parts), (1.7, 1.4 + 0.28 * len(order)), (2, 0), sharey=True)
    for axes, (heading, part) in zip(grid, parts, strict=True):
        part = part.set_index("detector").loc[order]
        places = range(len(order))
        axes.hlines(places, part["false_positive_rate"], part["recall"], color="0.8", lw=1.5, zorder=1)
        if "recall_low" in part:
            axes.hlines(places, part["recall_low"], part["recall_high"], color="#2471a3", lw=1, zorder=1)
        axes.scatter(part["recall"], places, s=28, color="#2471a3", label="recall")
        axes.scatter(
            part["false_positive_rate"], places, s=28, facecolor="white", color="#c0392b", label="false positive rate"
        )
        axes.set(title=heading, xlim=(-0.06, 1.06), ylim=(-0.5, len(order) - 0.5))
    grid[0].set_yticks(range(len(order)), [title(name) for name in order])
    _finish(figure, grid[0], table, 2)
    return figure


def strengths_figure(table: pd.DataFrame) -> "Figure":
    """Figure 5: recall (full lines) and false positive rate (dashed) by strength, a panel for each transform."""
    from matplotlib import colormaps

    chosen = table[(table["dataset"] == "macro") & (table["threshold_rule"] == "specificity-50")]
    names = [name for name in PAPER if name in set(chosen["transform"])]
    detectors = list(chosen["detector"].unique())
    figure, grid = panels(len(names), 3, (3.6, 2.8), (0, 0.8), sharey=True)
    for axes, name in zip(grid, names, strict=True):
        for place, detector in enumerate(detectors):
            part = chosen[(chosen["transform"] == name) & (chosen["detector"] == detector)]
            colour = colormaps["tab20"](place % 20)
            axes.plot(range(len(part)), part["recall"], "o-", ms=4, label=title(detector), color=colour)
            axes.plot(range(len(part)), part["false_positive_rate"], "--", lw=0.8, alpha=0.7, color=colour)
            axes.set_xticks(range(len(part)), [f"{strength:g}" for strength in part["strength"]])
        axes.set(title=name, ylim=(-0.04, 1.04))
    grid[0].set_ylabel("recall (dashed: false positives)")
    _finish(figure, grid[0], table, 4)
    return figure


def example_figure(picture: PictureLike) -> "Figure":
    """Figure 3: one picture at the weakest (above) and the strongest strength of each of the paper's transforms."""
    from matplotlib.figure import Figure

    original = torch.from_numpy(load_levels(picture, SIZE))
    nobody = np.empty((0, 3, SIZE, SIZE), dtype=np.uint8)
    figure = Figure(figsize=(1.5 * (1 + len(PAPER)), 3.6), layout="constrained")
    grid = figure.subplots(2, 1 + len(PAPER))
    for axes in grid.ravel():
        axes.axis("off")
    _show(grid[0, 0], original, "original")
    for column, name in enumerate(PAPER, start=1):
        strengths = TRANSFORMS[name].strengths
        for line, strength in enumerate((strengths[0], strengths[-1])):
            _show(
                grid[line, column],
                edited_copy(original, "example", Variant(name, strength), nobody),
                f"{name} {strength:g}",
            )
    return figure


def _show(axes: Any, picture: torch.Tensor, heading: str) -> None:
    axes.imshow(picture.permute(1, 2, 0).numpy())
    axes.set_title(heading, fontsize=9)


def _finish(figure: "Figure", axes: Any, table: pd.DataFrame, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(NOTE.format(protocol=", ".join(sorted(set(table["protocol"])))), fontsize=9)
