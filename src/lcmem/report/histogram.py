"""The histogram of all scores of a scan."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lcmem.files import write_plot
from lcmem.scan.result import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 80
"""Bars of a drawn histogram, about; its bins are far finer."""


def plot_histogram(histogram: Histogram, threshold: float, unit: str, target: Path) -> None:
    """Scores of all pairs by kind, with the threshold; ``unit`` says what they are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    draw_histogram(axes, histogram, threshold)
    axes.set(xlabel=f"{unit} (right: more alike)", ylabel="share of pairs")
    write_plot(figure, target)


def draw_histogram(axes: "Axes", histogram: Histogram, threshold: float) -> None:
    """Scores of all pairs by kind, each kind as a share of its own (paper, figure 6)."""
    filled = np.flatnonzero(sum(histogram.counts.values()))
    first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (0, 0)
    starts = np.arange(first, last + 1, max(1, (last + 1 - first) // DRAWN))
    for kind, colour in (("same", "#2471a3"), ("different", "#c0392b"), ("unknown", "#7f8c8d")):
        counts = histogram.counts[kind]
        if counts.sum():
            label = f"{kind} identity ({counts.sum():,} pairs)"
            shares = np.add.reduceat(counts[: last + 1], starts) / counts.sum()
            edges = histogram.edges[[*starts, last + 1]]
            axes.stairs(shares, edges, color=colour, fill=True, alpha=0.4, label=label)
    axes.axvline(threshold, color="black", lw=1, ls="--", label="threshold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
