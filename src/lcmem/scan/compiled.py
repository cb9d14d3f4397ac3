"""The byte pass compiled by Numba: distances of a tile, counted and sifted while they are in the cache."""

from collections.abc import Iterator

import numpy as np
from numba import njit

from lcmem.scan import sad
from lcmem.scan.slab import DIFFERENT, SAME, UNKNOWN, Bins, Rows, Slab

QUERIES, GALLERY = 256, 8192
"""Pairs of a step of a task."""
TILE, STRIDE = 1024, 1040
"""Gallery rows whose distances are looked at while the second-level cache holds them, and the columns they are kept in:
not a power of two, or the rows of the tile would share a few lines of the first-level cache."""
BLOCK = 64
"""Pairs that are looked at one by one only if the nearest of them can matter."""


@njit(nogil=True, cache=True)
def _count(levels, first, identity, identities, counts, low, shift):  # type: ignore[no-untyped-def]
    """Add one query's distances from column ``first`` on to the histogram."""
    flat, bins = counts.reshape(-1), counts.shape[1]
    if identity < 0:
        for j in range(first, len(levels)):
            flat[np.uint64((np.int64(levels[j]) - low) >> shift)] += 1  # unsigned: no test for a negative index
        return
    for j in range(first, len(levels)):
        kind = (identities[j] >= 0) * (DIFFERENT - (identities[j] == identity))
        flat[np.uint64(kind * bins + ((np.int64(levels[j]) - low) >> shift))] += 1


@njit(nogil=True, cache=True)
def _least(levels, radius):  # type: ignore[no-untyped-def]
    """The smallest distance less the row's radius; compiled to vector instructions."""
    least = np.int32(1 << 30)
    for j in range(len(levels)):
        least = min(least, np.int32(levels[j] - radius[j]))
    return least


@njit(nogil=True, cache=True)
def _bounds(upper, exact, twice, floor, bound):  # type: ignore[no-untyped-def]
    """As :meth:`lcmem.scan.slab.Slab.bounds` for one query; return the level above which no pair matters."""
    k = upper.shape[1]
    bound[:] = min(upper[0, k - 1] + twice, exact[0])
    for lane in range(1, len(upper)):
        bound[lane] = max(bound[0], min(upper[lane, k - 1] + twice, exact[lane]))
    return max(bound.max(), floor)


@njit(nogil=True, cache=True)
def _insert(best, most):  # type: ignore[no-untyped-def]
    """Into an ascending list of fixed length."""
    at = len(best) - 1
    while at > 0 and best[at - 1] > most:
        best[at] = best[at - 1]
        at -= 1
    best[at] = most


@njit(nogil=True, cache=True)
def _sift(  # type: ignore[no-untyped-def]
    tile, start, stop, query, row, radius, row_radius, identity, row_identity, upper, exact, floor,
    itself, counts, low, shift, out, found,
):  # fmt: skip
    """Write (query, row, levels) of every pair that can matter to ``out`` from ``found`` on; return where they end."""
    lanes, k, count = upper.shape[1], upper.shape[2], stop - start
    bound = np.empty(3, np.int64)
    for i in range(len(radius)):
        own = query + i - row  # the column of the query itself
        first = min(max(own + 1, 0), count) if itself else 0  # pairs are counted from here on
        _count(tile[i, :count], first, identity[i], row_identity, counts, low, shift)
        twice = 2 * np.int64(radius[i])
        limit = _bounds(upper[i], exact[i], twice, floor[i], bound)
        for block in range(0, count, BLOCK):
            end = min(block + BLOCK, count)
            if _least(tile[i, block:end], row_radius[block:end]) > limit:
                continue
            for j in range(block, end):
                levels = np.int64(tile[i, j])
                least, most = levels - row_radius[j], levels + row_radius[j]
                if least > limit:
                    continue
                kind = UNKNOWN
                if identity[i] >= 0 and row_identity[j] >= 0:
                    kind = SAME if identity[i] == row_identity[j] else DIFFERENT
                if (itself and j == own) or (least > bound[kind] and (j < first or least > floor[i])):
                    continue
                out[found, 0], out[found, 1], out[found, 2] = i, start + j, levels
                found += 1
                for lane in range(lanes):
                    if (lane == 0 or lane == kind) and most < upper[i, lane, k - 1]:
                        _insert(upper[i, lane], most)
                        limit = _bounds(upper[i], exact[i], twice, floor[i], bound)
    return found


@njit(nogil=True, cache=True)
def _pass(  # type: ignore[no-untyped-def]
    levels, row_levels, split, tile, negative, step, query, row, radius, row_radius, identity, row_identity, upper,
    exact, floor, itself, counts, low, shift, out,
):  # fmt: skip
    """Distances, counts and candidates of all rows, a tile at a time; return how many candidates there are."""
    found = 0
    for start in range(0, len(row_radius), step):
        stop = min(start + step, len(row_radius))
        sad.byte_distances(levels, row_levels[start : start + step], split, tile, negative)
        found = _sift(
            tile, start, stop, query, row + start, radius, row_radius[start:stop], identity, row_identity[start:stop],
            upper, exact, floor, itself, counts, low, shift, out, found,
        )  # fmt: skip
    return found


def _padded(levels: np.ndarray, multiple: int) -> np.ndarray:
    missing = -len(levels) % multiple
    return np.pad(levels, ((0, missing), (0, 0))) if missing else levels


def sift(slab: Slab, rows: Rows, split: int, bins: Bins, counts: np.ndarray) -> Iterator[np.ndarray]:
    """Count all pairs and find those that can matter.

    Args:
        slab: The queries; ``upper`` is brought up to date.
        rows: The gallery rows.
        split: First byte of the negative weights.
        bins: Of the histogram.
        counts: ``[3, bins]`` int64, to add to: pairs by kind and distance.

    Yields:
        For each step ``[n, 3]`` int32: query (within the slab), row (within the rows), levels. It is overwritten.
    """
    queries = _padded(slab.codes.levels, sad.QUERIES)
    out = np.empty((len(slab.codes.radius) * GALLERY, 3), dtype=np.int32)
    tile, negative = np.empty((2, len(queries), STRIDE), dtype=np.int32)
    for start in range(0, len(rows.codes.radius), GALLERY):
        stop = min(start + GALLERY, len(rows.codes.radius))
        levels = _padded(rows.codes.levels[start:stop], sad.ROWS)
        found = _pass(
            queries, levels, split, tile, negative, TILE, slab.start, rows.start + start,
            slab.codes.radius, rows.codes.radius[start:stop], slab.identities, rows.identities[start:stop],
            slab.upper, slab.exact, slab.floor, slab.itself, counts, bins.low, bins.shift, out,
        )  # fmt: skip
        out[:found, 1] += start
        yield out[:found]
