"""Rows of several arrays as if they were one, so that the shards of an atlas need not be joined in memory."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from torch import Tensor, bfloat16

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
        """Data type of the values."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: Any, /) -> Any: ...


class ChunkedRows:
    """Features that lie one after the other in arrays or on the disk.

    Attributes:
        arrays: ``[n_i, D]`` each.
        starts: Position of the first row of each array, and the number of all rows.

    Args:
        arrays: The arrays, or a single one.
    """

    def __init__(self, arrays: np.ndarray | Sequence[Part]) -> None:
        self.arrays: list[Part] = [arrays] if isinstance(arrays, np.ndarray) else list(arrays)
        self.starts = np.cumsum([0, *map(len, self.arrays)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @cached_property
    def content(self) -> bytes:
        """sha256 of all values and of how they are cut into arrays; computed once."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(repr((array.shape, str(array.dtype))).encode())
            for start in range(0, len(array), HASHED):
                digest.update(np.ascontiguousarray(array[start : start + HASHED]).data)
            release(array)
        return digest.digest()

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows ``start:stop``; not copied if they lie in one array."""
        start, stop, _ = rows.indices(len(self))
        spans = zip(pairwise(self.starts.tolist()), self.arrays, strict=True)
        found = [array[max(start - low, 0) : stop - low] for (low, high), array in spans if low < stop and start < high]
        return found[0] if len(found) == 1 else np.concatenate(found or [self.arrays[0][:0]])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of the rows at these positions ``[n]``."""
        values = np.empty((len(rows), self.arrays[0].shape[1]), dtype=self.arrays[0].dtype)
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        for number, array in enumerate(self.arrays):
            values[owner == number] = array[rows[owner == number] - self.starts[number]]
        return values


Features = np.ndarray | Tensor | Sequence[Part] | ChunkedRows
"""Features ``[N, D]``, in one array or in several."""


def as_chunked(features: Features) -> ChunkedRows:
    """The features as chunked rows; a tensor is an array."""
    if isinstance(features, ChunkedRows):
        return features
    return ChunkedRows(as_array(features) if isinstance(features, Tensor) else features)


def as_array(features: np.ndarray | Tensor) -> np.ndarray:
    """Features in memory as an array; of types that NumPy does not know, such as bfloat16, as float32."""
    if not isinstance(features, Tensor):
        return features
    values = features.detach().cpu()
    return (values.float() if values.dtype == bfloat16 else values).numpy()


def release(block: Part) -> None:
    """Let go of what was read from the disk; the system would count it as this process's memory."""
    if not isinstance(block, np.ndarray) and hasattr(block, "release"):
        block.release()
