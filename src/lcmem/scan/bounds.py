"""Blocks of queries and gallery rows, and the bounds that decide which pairs need an exact score."""

from dataclasses import dataclass

import numpy as np

from lcmem.scan.quantise import CLIP, Codes

UNKNOWN, SAME, DIFFERENT = 0, 1, 2
"""Kinds of pairs. The same numbers count the lists of best matches: all pairs, same identity, different identities."""


@dataclass(frozen=True)
class GalleryBlock:
    """Some rows of the gallery.

    Attributes:
        start: Position of the first row in the whole gallery.
        features: ``[G, D]``.
        codes: The same features, quantised.
        identities: ``[G]`` int64, −1 where unknown.
    """

    start: int
    features: np.ndarray
    codes: Codes
    identities: np.ndarray


@dataclass(frozen=True)
class QueryBlock:
    """A few queries and the best matches found for them so far; one thread works on one block.

    A pair becomes a candidate unless its smallest possible distance (levels − both radii) exceeds the largest possible
    distance of the current k-th best match. That limit comes from byte distances first (``upper``), then from exact
    logits (``exact``).

    Attributes:
        start: Position of the first query.
        features: ``[Q, D]``.
        codes: The same features, quantised.
        identities: ``[Q]`` int64, −1 where unknown.
        logits: ``[Q, 1 or 3, k]`` float64, best first: all pairs, and where identities are known, same and different.
        positions: The same shape, in the whole gallery; −1 with logit −∞ where fewer than k were found.
        upper: The same shape, int64: distances in levels plus the gallery row's radius, ascending.
        exact: ``[Q, 1 or 3]`` int64: levels, less the gallery row's radius, above which no pair enters the list.
        floor: ``[Q]`` int64: the same limit for the threshold.
        itself: Queries and gallery are one set: a picture is not compared with itself, and a pair is counted once.
    """

    start: int
    features: np.ndarray
    codes: Codes
    identities: np.ndarray
    logits: np.ndarray
    positions: np.ndarray
    upper: np.ndarray
    exact: np.ndarray
    floor: np.ndarray
    itself: bool

    @property
    def lanes(self) -> int:
        """Lists of best matches: 1, or 3 where identities are known."""
        return self.upper.shape[1]

    def bounds(self) -> np.ndarray:
        """``[Q, 3]``: a pair of this kind enters no list if its levels − the gallery row's radius exceed this limit."""
        own = np.minimum(self.upper[:, :, -1] + 2 * self.codes.radius[:, None].astype(np.int64), self.exact)
        if self.lanes == 1:
            return np.repeat(own, 3, axis=1)
        return np.stack([own[:, 0], np.maximum(own[:, 0], own[:, SAME]), np.maximum(own[:, 0], own[:, DIFFERENT])], 1)


MOST_BINS = 1024
"""Of the histogram of all scores."""


@dataclass(frozen=True)
class Bins:
    """Bins of a histogram over distances in levels: a pair is counted in bin ``(levels − low) >> shift``."""

    low: int
    shift: int
    count: int

    @classmethod
    def over(cls, span: tuple[int, int]) -> "Bins":
        """At most :data:`MOST_BINS` bins, a power of two wide, over the levels that can occur."""
        low, high = span
        shift = 0
        while ((high - low) >> shift) + 1 > MOST_BINS:
            shift += 1
        return cls(low, shift, ((high - low) >> shift) + 1)


NOTHING_YET = 4 * CLIP
"""In ``QueryBlock.upper`` where fewer than k pairs were seen."""


def pair_kinds(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Kinds of the pairs of these identities, elementwise."""
    known = (queries >= 0) & (rows >= 0)
    return np.where(known, np.where(queries == rows, SAME, DIFFERENT), UNKNOWN)
