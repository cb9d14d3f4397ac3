"""Rows of several arrays as if they were one, so that the shards of an atlas need not be joined in memory."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

HASHED = 4096
"""Rows that are hashed at once."""


class Part(Protocol):
    """What of an array features need: an array itself, or rows that are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``[n, D]``."""

    @property
    def ndim(self) -> int:
        """2."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> Any: ...


class Blocks:
    """Features that lie one after the other in arrays or on the disk.

    Attributes:
        parts: ``[n_i, D]`` each.
        starts: Position of the first row of each part, and the number of all rows.

    Args:
        parts: The arrays, or a single one.
    """

    def __init__(self, parts: np.ndarray | Sequence[Part]) -> None:
        self.parts: list[Part] = [parts] if isinstance(parts, np.ndarray) else list(parts)
        self.starts = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def content(self) -> bytes:
        """sha256 of all values and of how they are cut into parts; worked out once."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update(repr((part.shape, str(part.dtype))).encode())
            for start in range(0, len(part), HASHED):
                digest.update(np.ascontiguousarray(part[start : start + HASHED]).data)
            release(part)
        return digest.digest()

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows ``start:stop``; not copied if they lie in one part."""
        start, stop, _ = rows.indices(len(self))
        spans = zip(pairwise(self.starts.tolist()), self.parts, strict=True)
        found = [part[max(start - low, 0) : stop - low] for (low, high), part in spans if low < stop and start < high]
        return found[0] if len(found) == 1 else np.concatenate(found or [self.parts[0][:0]])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of the rows at these positions ``[n]``."""
        values = np.empty((len(rows), self.parts[0].shape[1]), dtype=self.parts[0].dtype)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        for number, part in enumerate(self.parts):
            values[owner == number] = part[rows[owner == number] - self.starts[number]]
        return values


Features = np.ndarray | Sequence[Part] | Blocks
"""Features ``[N, D]``, in one array or in several."""


def as_blocks(features: Features) -> Blocks:
    """The same, whatever it was."""
    return features if isinstance(features, Blocks) else Blocks(features)


def release(block: Part) -> None:
    """Let go of what was read from the disk; the system would count it as this process's memory."""
    if not isinstance(block, np.ndarray) and hasattr(block, "release"):
        block.release()
