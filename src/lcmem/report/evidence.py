"""Two pictures and where the evidence for their score lies, as one picture."""

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lcmem.files import write_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

OPAQUE = 0.75
"""Opacity of the strongest colour; what changes nothing is clear."""
PALE = 0.6
"""Share by which the grey range is stretched below black, so that colours show on dark pictures."""
LINE, NAME = 100, 44
"""Letters in a line of the heading, and of a picture's name."""


def plot_evidence(
    pictures: Sequence[np.ndarray],
    maps: Sequence[np.ndarray],
    *,
    names: Sequence[str],
    heading: Sequence[str],
    least: float,
    unit: str,
    target: Path,
) -> None:
    """Write a PNG: the pictures side by side, below them the same in grey under their maps, in one scale of colours.

    Args:
        pictures: Two, ``[H, W, 3]`` uint8, of any size.
        maps: One for each, ``[h, w]``, over the whole picture; red above 0, blue below.
        names: Of the pictures.
        heading: Lines above them.
        least: Values from which on a colour may be full; larger ones in the maps stretch the scale.
        unit: Of the values.
        target: The file.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    limit = max(least, *(float(np.abs(values).max()) for values in maps))
    colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    figure = Figure(figsize=(8, 9), layout="constrained")
    panels = figure.subplots(2, 2)
    for (plain, marked), picture, values, name in zip(panels.T, pictures, maps, names, strict=True):
        plain.imshow(picture)
        plain.set_title(name if len(name) <= NAME else name[: NAME - 1] + "…", fontsize=10, parse_math=False)
        _draw_map(marked, picture, values, colours)
    lines = [textwrap.fill(line, LINE) for line in heading]
    figure.suptitle("\n".join(lines), fontsize=9, x=0.02, ha="left", parse_math=False)
    figure.colorbar(
        colours,
        ax=panels,
        location="bottom",
        shrink=0.6,
        label=f"fall of the {unit} without this place (red: for a match)",
    )
    for axes in panels.flat:
        axes.set_axis_off()
        axes.set_anchor("N")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter of a file's name that the font lacks
        write_plot(figure, target)


def _draw_map(axes: "Axes", picture: np.ndarray, values: np.ndarray, colours: "ScalarMappable") -> None:
    """The picture in grey, and over it the colours, the clearer the closer a value is to 0."""
    height, width = picture.shape[:2]
    axes.imshow(picture.mean(-1), cmap="gray", vmin=-PALE * 255, vmax=255)
    painted = colours.to_rgba(values)
    painted[..., 3] = OPAQUE * np.abs(values) / colours.norm.vmax
    axes.imshow(painted, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear")
