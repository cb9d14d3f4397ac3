"""Whether two pictures are the same one, seen small: what decides between a copy and a look-alike."""

from collections.abc import Iterable

import numpy as np

from lcmem.pictures.loading import iterate_pictures

SIDE = 32
"""Side of the grey thumbnails, in pixels."""
SAME = 0.98
"""Correlation of two thumbnails from which they show the same picture. Copies at half the size or at JPEG quality 75
reach 0.999, the most alike strangers among faces and CT slices 0.93 (docs/error-rates.md)."""


class Thumbnails:
    """Grey thumbnails by path, each picture decoded once.

    Args:
        workers: Decoding processes.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self._known: dict[str, np.ndarray | None] = {}

    def __contains__(self, path: str) -> bool:
        return self._known.get(path) is not None

    def read(self, paths: Iterable[str]) -> None:
        """Decode pictures that have not been; one that cannot be opened is alike to nothing."""
        new = [path for path in dict.fromkeys(paths) if path not in self._known]
        self._known |= dict.fromkeys(new)
        for batch in iterate_pictures(new, SIDE, workers=self.workers) if new else ():
            for at, picture in zip(batch.indices, batch.pictures.numpy(), strict=True):
                self._known[new[at]] = thumbnail(picture)

    def alike(self, first: list[str], second: list[str]) -> np.ndarray:
        """Whether pictures are the same but for small changes, or mirror images, ``[n]`` for n pairs of paths."""
        self.read([*first, *second])
        found = np.zeros(len(first), dtype=bool)
        for at, pair in enumerate(zip(first, second, strict=True)):
            one, two = (self._known[path] for path in pair)
            found[at] = one is not None and two is not None and correlation(one, two) >= SAME
        return found


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """A picture ``[3, SIDE, SIDE]`` in grey ``[SIDE, SIDE]``, of mean 0 and length 1: a product is a correlation."""
    grey = picture.astype(np.float64).mean(0)
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-9)


def correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Correlation of two thumbnails ``[SIDE, SIDE]``, or with the mirror image of one, whichever is higher."""
    return max(float((one * two).sum()), float((one * two[:, ::-1]).sum()))
