"""Rows of a store that are read from the disk when they are asked for."""

import mmap
from typing import Any

import numpy as np

from lcmem.store.shards import Shards


class StoredRows:
    """An array ``[N, …]`` whose rows lie in shards, in any order, repeated or not.

    Args:
        shards: Of the store.
        places: Shard and row of each, ``[N, 2]``.

    Raises:
        LCMemError: A shard is missing, truncated or damaged.
    """

    def __init__(self, shards: Shards, places: np.ndarray) -> None:
        self.shards, self.places = shards, places
        for number in np.unique(places[:, 0]):
            last = int(places[places[:, 0] == number, 1].max())
            if last >= len(shards.rows(int(number))):
                raise shards.damaged(int(number), f"row {last} is not there any more")

    def __len__(self) -> int:
        return len(self.places)

    @property
    def shape(self) -> tuple[int, ...]:
        """``[N, …]``."""
        return (len(self), *self.shards.card.shape)

    @property
    def ndim(self) -> int:
        """Length of :attr:`shape`."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the values."""
        return np.dtype(self.shards.card.dtype)

    def __getitem__(self, at: int | slice | np.ndarray) -> np.ndarray:
        """Some rows: a view of the mapped file where they lie there one after the other, else a copy."""
        if isinstance(at, int | np.integer):
            number, row = self.places[at]
            return self.shards.rows(int(number))[row]
        places = self.places[at]
        if not len(places):
            return np.empty((0, *self.shards.card.shape), self.dtype)
        first, last = places[0], places[-1]
        adjacent = (places[:, 0] == first[0]).all() and (np.diff(places[:, 1]) == 1).all()
        if isinstance(at, slice) and adjacent:
            return self.shards.rows(int(first[0]))[first[1] : last[1] + 1]
        return self._gathered(places, ())

    def take(self, at: np.ndarray, part: np.ndarray) -> np.ndarray:
        """One part of each row: rows ``[n]`` at positions ``[n]`` of their first axis, as a copy ``[n, …]``."""
        return self._gathered(self.places[at], (part,))

    def _gathered(self, places: np.ndarray, parts: tuple[np.ndarray, ...]) -> np.ndarray:
        values = np.empty((len(places), *self.shards.card.shape[len(parts) :]), self.dtype)
        for number in np.unique(places[:, 0]):
            at = np.flatnonzero(places[:, 0] == number)
            values[at] = self.shards.rows(int(number))[(places[at, 1], *(part[at] for part in parts))]
        return values

    def select(self, at: np.ndarray) -> "StoredRows":
        """The rows at these positions ``[n]``; nothing is read."""
        return StoredRows(self.shards, self.places[at])

    def release(self) -> None:
        """Let go of the pages that were read; the system would count them as this process's memory."""
        for number in np.unique(self.places[:, 0]):
            pages = getattr(self.shards.rows(int(number)), "_mmap", None)
            if pages is not None and hasattr(pages, "madvise"):
                pages.madvise(mmap.MADV_DONTNEED)
