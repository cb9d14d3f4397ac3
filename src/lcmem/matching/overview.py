"""Which picture of a set looks most like another one, seen very small: turned or mirrored, or as its negative.

A model that tells people apart does not know them upside down, nor a person whom a generator has drawn as a blur. So
whatever it says, every picture is compared with every real one as well, in a few grey pixels, at next to no cost.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.matching.alignment import FLAT, correlation, unit
from lcmem.matching.thumbnails import SIDE

SMALL = 8
"""Side in pixels: noise and blur hardly change so few, and strangers still differ in them (docs/copies.md)."""
SEARCHED = 20_000
"""Real pictures up to which all are compared with all; more would take long, or have to be decoded once more for it."""
CHUNK = 512
"""Pictures that are compared at once."""
TURNS = range(4)
"""Quarters by which pictures are turned."""


class Nearest(NamedTuple):
    """The most alike real picture of each of n.

    Attributes:
        positions: Its position ``[n]``; −1 for none.
        alike: The correlation with it ``[n]``; −1 for none.
    """

    positions: np.ndarray
    alike: np.ndarray

    @classmethod
    def none(cls, count: int) -> "Nearest":
        """Of so many pictures that are compared with nothing."""
        return cls(np.full(count, -1), np.full(count, -1.0))


class Overview:
    """Real pictures, seen very small.

    Args:
        real: Thumbnails ``[SIDE, SIDE]`` of them; None for one that cannot be opened.
    """

    def __init__(self, real: Iterable[np.ndarray | None]) -> None:
        self.rows = _rows(_small(list(real)))

    def nearest(
        self, pictures: Sequence[np.ndarray | None], identities: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Nearest:
        """The most alike real picture of each.

        Args:
            pictures: Thumbnails, as of the real ones, n of them.
            identities: Of the pictures ``[n]`` and of the real ones: only others that are known (not −1) are compared.
        """
        found = Nearest.none(len(pictures))
        for start in range(0, len(pictures), CHUNK):
            part = slice(start, start + CHUNK)
            small = _small(pictures[part])
            alike = torch.full((len(small), len(self.rows)), -1.0)
            for turn in TURNS:
                for each in (small, small.flip(-1)):
                    turned = _rows(each.rot90(turn, (1, 2))) @ self.rows.T
                    torch.maximum(alike, turned.abs_(), out=alike)  # a negative looks like it as well
            if identities is not None:
                mine, theirs = identities[0][part, None], identities[1][None]
                alike[torch.from_numpy((mine == theirs) | (theirs < 0))] = -1
            best = alike.max(1)
            found.positions[part] = np.where(best.values > -1, best.indices, -1)
            found.alike[part] = best.values.clamp(-1, 1).numpy()
        return found


def turned_correlation(pictures: Tensor, real: Tensor) -> Tensor:
    """How alike thumbnails are to others ``[n]``, as :func:`lcmem.matching.alignment.correlation`, however turned, or
    as negatives."""
    each = [correlation(way.rot90(turn, (1, 2)), real) for turn in TURNS for way in (pictures, 255 - pictures)]
    return torch.stack(each).amax(0)


def _small(pictures: Sequence[np.ndarray | None]) -> Tensor:
    """Thumbnails at :data:`SMALL` pixels a side ``[n, 8, 8]``; one that cannot be opened is empty, and like nothing."""
    empty = np.zeros((SIDE, SIDE), np.uint8)
    whole = np.stack([empty if picture is None else picture for picture in pictures])
    return F.avg_pool2d(torch.from_numpy(whole).float()[:, None], SIDE // SMALL)[:, 0]


def _rows(small: Tensor) -> Tensor:
    return unit(small, torch.ones_like(small, dtype=torch.bool), FLAT)
