"""Features as bytes whose sums of absolute differences bracket the score."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from lcmem.errors import LCMemError
from lcmem.scan.chunked import ChunkedRows

LANE = 64
"""Bytes of the widest vector register; each group of dimensions is padded with zeros to a multiple of it."""
SPARE = 1.25
"""Heavy dimensions may be spread over several bytes until a vector is this much longer."""
LINE = 64
"""Bytes of a cache line."""
CLIP = 1 << 28
"""No distance in levels is larger (255 times a million dimensions), so a radius of this size means: cannot tell."""
ROWS = 128
"""Rows quantised at once, so that temporary float64 arrays stay in the cache."""
PART = 32 * ROWS
"""Rows that are read at once."""


@dataclass(frozen=True)
class Codes:
    """Quantised features.

    Attributes:
        levels: ``[N, B]`` uint8; the bytes of positive weights first.
        radius: ``[N]`` int32, in levels: how far this vector's rounding can move a distance.
    """

    levels: np.ndarray
    radius: np.ndarray

    @classmethod
    def join(cls, parts: "list[Codes]") -> "Codes":
        """One after the other, from an address on that is a multiple of a cache line: long loads never cross one."""
        rows = sum(len(part.levels) for part in parts)
        width = parts[0].levels.shape[1]
        memory = np.empty(rows * width + LINE, dtype=np.uint8)
        first = -memory.ctypes.data % LINE
        levels = memory[first : first + rows * width].reshape(rows, width)
        np.concatenate([part.levels for part in parts], out=levels)
        return cls(levels, np.concatenate([part.radius for part in parts]))


class Quantiser:
    """Rounds weighted features to bytes with one common scale, with a proven error for each vector.

    **Levels.** Dimension k with weight w_k becomes m_k bytes (m_k = 1 unless its weight is far larger than others).
    With a = |w_k| / m_k and the scale s = 255 / max a, each of these bytes is round(x) for x = s·a·u_k in [0, 255].
    Let d = Σ_k w_k |u_k − v_k| and q = Σ ± |round(x) − round(y)| over all bytes, with the sign of w_k.

    **Bound.** Let r(u) = Σ |x − round(x)| over the bytes of u. Then |s·d − q| ≤ r(u) + r(v), because s·d = Σ ± |x − y|
    (the m_k bytes of a dimension add up to s·|w_k|·|u_k − v_k|) and, for each byte and whatever its sign,
    ``||x − y| − |round(x) − round(y)|| ≤ |x − round(x)| + |y − round(y)|`` by the reverse triangle inequality. Rounding
    to the nearest level gives r ≤ B/2; the norm that is measured and kept is about half of that. The bound holds for
    any s and any bytes; good ones only make it tight.

    **Arithmetic.** ``pair_logits`` works in float64 with unit roundoff e = 2⁻⁵³. A sum of D products errs by at most
    (D + 3)·e·Σ|w_k| to first order in any order of summation, and subtracting it from b by e·(|b| + Σ|w_k|). x takes
    three rounded operations, so it errs by 3·e·255 levels, r(u) by (B + 6)·e·255·B. The slack below is larger than
    half of the first two in levels plus the last; it is added to r(u), and the sum is rounded up to the integer R(u).
    Hence for the *computed* logit L: ``|s·(b − L) − q| ≤ R(u) + R(v)``.

    Attributes:
        scale: s, levels for one unit of the logit.
        width: B, bytes of a vector with padding.
        split: The first byte of the negative weights.

    Args:
        weight: The head's weights ``[D]``, finite.
        bias: The head's bias, finite.

    Raises:
        LCMemError: A weight or the bias is NaN or infinite.
    """

    def __init__(self, weight: np.ndarray, bias: float) -> None:
        weight = np.asarray(weight, dtype=np.float64)
        if weight.ndim != 1 or not len(weight) or not np.isfinite(weight).all() or not np.isfinite(bias):
            raise LCMemError("the head's weights and bias must be finite numbers; the checkpoint is damaged")
        self.features, self.bias = len(weight), float(bias)
        copies = _copies(np.abs(weight))
        parts = [np.repeat(np.arange(len(weight)), np.where(sign * weight > 0, copies, 0)) for sign in (1, -1)]
        self.split = max(_padded(len(parts[0])), LANE)
        self.width = self.split + _padded(len(parts[1]))
        self._source = np.concatenate(parts)
        self._spread = not np.array_equal(self._source, np.arange(len(weight)))  # the usual head has a byte for each
        self._positive = len(parts[0])
        amplitude = np.abs(weight[self._source]) / copies[self._source]
        top = float(amplitude.max(initial=0))
        self.scale = min(255 / top, 1e30) if top else 1.0
        self._factor = amplitude * self.scale
        total = float(np.abs(weight).sum())
        rounding = 2.0**-52 * (len(weight) + 8) * (total + abs(self.bias)) * self.scale
        self._slack = min(rounding + 2.0**-52 * (self.width + 8) * 255 * self.width, CLIP)

    def encode(self, features: np.ndarray, name: str) -> Codes:
        """Quantise features ``[N, D]``; ``name`` is what messages call them.

        Raises:
            LCMemError: Another number of features, NaN, or values outside [0, 1].
        """
        if features.ndim != 2 or features.shape[1] != self.features:
            raise LCMemError(f"{name}: features of shape {features.shape}; this head takes [N, {self.features}]")
        levels = np.zeros((len(features), self.width), dtype=np.uint8)
        radius = np.zeros(len(features), dtype=np.int32)
        for start in range(0, len(features), ROWS):
            rows = slice(start, start + ROWS)
            values = np.asarray(features[rows])
            if not (values.min() >= 0 and values.max() <= 1):  # NaN fails both
                raise LCMemError(
                    f"{name}: features must lie in [0, 1] and not be NaN; lcmem atlas verify names those of an atlas"
                )
            exact = values.astype(np.float64)
            if self._spread:
                exact = exact[:, self._source]
            exact *= self._factor
            rounded = np.rint(exact)
            np.minimum(rounded, 255, out=rounded)
            levels[rows, : self._positive] = rounded[:, : self._positive]
            levels[rows, self.split : self.split + len(self._source) - self._positive] = rounded[:, self._positive :]
            exact -= rounded
            np.abs(exact, out=exact)
            radius[rows] = np.minimum(np.ceil(exact.sum(1) + self._slack), CLIP)
        return Codes(levels, radius)

    def encode_rows(
        self, features: ChunkedRows, start: int, stop: int, name: str, each: Callable[..., Iterable[Codes]] = map
    ) -> Codes:
        """The same of the rows from ``start`` to ``stop`` of features that may lie on the disk.

        ``each`` does the parts, as ``map`` or that of an executor.
        """
        starts = range(start, max(stop, start + 1), PART)
        return Codes.join([*each(lambda at: self.encode(features[at : min(at + PART, stop)], name), starts)])

    def reach(self, logits: np.ndarray | float) -> np.ndarray:
        """No pair whose levels − both radii exceed this has a logit this high; int64, clipped to ±2·CLIP."""
        levels = np.ceil((self.bias - np.asarray(logits, dtype=np.float64)) * self.scale) + 1
        return np.clip(levels, -2 * CLIP, 2 * CLIP).astype(np.int64)

    def logit(self, levels: np.ndarray) -> np.ndarray:
        """The logit that a distance in levels stands for."""
        return self.bias - levels / self.scale

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest distance in levels that can occur."""
        return -255 * (len(self._source) - self._positive), 255 * self._positive


def _padded(count: int) -> int:
    return -(-count // LANE) * LANE


def _copies(weight: np.ndarray) -> np.ndarray:
    """Bytes for each dimension ``[D]``, so that one heavy weight does not leave the others a few levels."""
    budget = _padded(int(SPARE * len(weight)))
    best = np.ones(len(weight), dtype=np.int64)
    if not weight.any():
        return best
    for pieces in range(2, budget + 1):
        copies = np.maximum(np.ceil(weight / weight.max() * pieces), 1).astype(np.int64)
        if copies.sum() > budget:
            break
        best = copies
    return best
