"""Whether pictures are sheets of several samples, as trainings write them: each of them would be missed."""

from collections.abc import Sequence

import numpy as np

from lcmem.errors import PictureError
from lcmem.pictures.image import load_levels

LOOKED = 24
"""Pictures that are looked at."""
MOST = 8
"""Samples side by side."""
SLACK = 3
"""Pixels by which a seam may lie beside its place: sheets have margins."""
SHARP = 3.0
"""So many times as strong as usual around it is the edge at a seam."""
SHARE = 0.8
"""Of the pictures that have all seams at the same places."""
LEAST = 8
"""Pictures without which nothing is said."""


def sheet_of(paths: Sequence[str]) -> tuple[int, int] | None:
    """Rows and columns of samples that most pictures show; None where they are single ones.

    Args:
        paths: Pictures, of which some that lie far apart are looked at.
    """
    found = []
    for path in paths[:: max(1, len(paths) // LOOKED)][:LOOKED]:
        try:
            grey = load_levels(path).mean(0)
        except PictureError:  # named where it is encoded
            continue
        found.append([_divisions(grey), _divisions(grey.T)])
    if len(found) < LEAST:
        return None
    rows, columns = (_common([each[axis] for each in found]) for axis in (0, 1))
    return (rows, columns) if rows * columns > 1 else None


def _common(divided: list[set[int]]) -> int:
    """The largest number of parts into which nearly all pictures are divided; 1 for none."""
    counts = {number: np.mean([number in each for each in divided]) for number in range(2, MOST + 1)}
    return max((number for number, share in counts.items() if share >= SHARE), default=1)


def _divisions(grey: np.ndarray) -> set[int]:
    """Numbers of equal parts, one below the other, with an edge across the whole width at each seam."""
    edges = np.abs(np.diff(grey, axis=0)).mean(1)
    height = len(grey)
    if height < 2 * MOST * SLACK:
        return set()
    usual = float(np.median(edges)) + 1
    return {
        number
        for number in range(2, MOST + 1)
        if all(_seam(edges, round(height * part / number)) > SHARP * usual for part in range(1, number))
    }


def _seam(edges: np.ndarray, at: int) -> float:
    return float(edges[max(at - 1 - SLACK, 0) : at + SLACK].max())
