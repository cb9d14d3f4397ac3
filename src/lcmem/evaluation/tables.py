"""Tables and figures of the benchmarks as files: CSV for programs, Markdown, PNG and SVG for people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lcmem.detectors.registry import find_detector
from lcmem.files import replacing, write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = {
    "pixel": "Pixel-wise",
    "foundation": "Foundation models",
    "task-specific": "Task-specific",
    "copy": "Copy detection",
    "faces": "Faces only",
    "installed": "Of other packages",
    "lcmem": "LCMem and other checkpoints",
}
"""Headings, in the order of the paper's table 2; every family of a known detector has one."""


def family(detector: str) -> str:
    """The family of a detector by its name in a table; a checkpoint is of ``lcmem``."""
    known = find_detector(detector)
    return "lcmem" if known is None else known.family


def title(detector: str) -> str:
    """What a detector is called in figures and Markdown."""
    known = find_detector(detector)
    return detector if known is None else known.title


def by_family(detectors: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Headings and their detectors, in the paper's order; within a family as given."""
    groups = [(heading, [name for name in detectors if family(name) == key]) for key, heading in FAMILIES.items()]
    return [(heading, names) for heading, names in groups if names]


def write_csv(table: pd.DataFrame, target: Path) -> None:
    """Six decimals; an empty cell where there is no number."""
    write_table(table, target, float_format="%.6f")


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are text already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def ranked(values: Sequence[float]) -> list[str]:
    """Three decimals; the best (highest) bold, the second best underlined, a dash where there is no number."""
    rounded = [round(value, 3) for value in values]
    best = sorted({value for value in rounded if value == value}, reverse=True)[:2]
    marks = dict(zip(best, ("**{:.3f}**", "<u>{:.3f}</u>"), strict=False))
    return ["–" if value != value else marks.get(value, "{:.3f}").format(value) for value in rounded]


def panels(
    count: int,
    columns: int,
    side: tuple[float, float],
    margin: tuple[float, float] = (0, 0),
    sharex: bool = False,
    sharey: bool = False,
) -> "tuple[Figure, list[Axes]]":
    """A figure of so many panels, in rows of at most so many.

    Args:
        count: Panels.
        columns: Panels of a row at most.
        side: Width and height of a panel in inches.
        margin: What the figure has beside them.
        sharex: Whether all have one axis.
        sharey: The same of the other.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    size = (side[0] * columns + margin[0], side[1] * rows + margin[1])
    figure = Figure(figsize=size, layout="constrained")
    every = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey).ravel())
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, every[:count]


def write_figure(figure: "Figure", target: Path) -> None:
    """``target.png`` and ``target.svg``."""
    formats: dict[str, dict[str, Any]] = {"png": {"dpi": 130}, "svg": {"metadata": {"Date": None}}}
    for kind, options in formats.items():
        with replacing(target.with_name(f"{target.name}.{kind}")) as partial:
            figure.savefig(partial, format=kind, **options)
        figure.set_layout_engine("none")  # laid out once for both
