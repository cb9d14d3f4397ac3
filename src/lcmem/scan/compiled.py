"""The byte pass compiled by Numba: distances of a tile, counted and sifted while they are in the cache."""

from collections.abc import Iterator

import numpy as np
from numba import njit

from lcmem.scan import sad
from lcmem.scan.slab import DIFFERENT, SAME, UNKNOWN, Bins, Rows, Slab

QUERIES, GALLERY = 64, 4096
"""Pairs of a tile: 1 MB of distances, which the second-level cache holds."""


@njit(nogil=True, cache=True)
def _sift(  # type: ignore[no-untyped-def]
    tile, start, stop, query, row, radius, row_radius, identity, row_identity, upper, exact, floor,
    itself, counts, low, shift, out,
):  # fmt: skip
    """Write (query, row, levels) of every pair that can matter to ``out``; return how many there are."""
    found, lanes, k = 0, upper.shape[1], upper.shape[2]
    bound, own = np.empty(3, np.int64), np.empty(3, np.int64)
    for i in range(len(radius)):
        twice, stale = 2 * np.int64(radius[i]), True
        for j in range(stop - start):
            if itself and row + j == query + i:
                continue
            if stale:
                for lane in range(3):
                    own[lane] = -(1 << 40)
                for lane in range(lanes):
                    own[lane] = min(upper[i, lane, k - 1] + twice, exact[i, lane])
                for lane in range(3):
                    bound[lane] = max(own[0], own[lane])
                stale = False
            kind = UNKNOWN
            if lanes > 1 and identity[i] >= 0 and row_identity[j] >= 0:
                kind = SAME if identity[i] == row_identity[j] else DIFFERENT
            levels = np.int64(tile[i, j])
            counted = not itself or row + j > query + i
            if counted:
                counts[kind, (levels - low) >> shift] += 1
            least = levels - row_radius[j]
            if least > bound[kind] and (not counted or least > floor[i]):
                continue
            out[found, 0], out[found, 1], out[found, 2] = i, start + j, levels
            found += 1
            most = levels + row_radius[j]
            for lane in range(lanes):
                if (lane == 0 or lane == kind) and most < upper[i, lane, k - 1]:
                    at = k - 1
                    while at > 0 and upper[i, lane, at - 1] > most:
                        upper[i, lane, at] = upper[i, lane, at - 1]
                        at -= 1
                    upper[i, lane, at] = most
                    stale = True
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
        For each tile ``[n, 3]`` int32: query (within the slab), row (within the rows), levels. It is overwritten.
    """
    queries = _padded(slab.codes.levels, sad.QUERIES)
    out = np.empty((len(slab.codes.radius) * GALLERY, 3), dtype=np.int32)
    for start in range(0, len(rows.codes.radius), GALLERY):
        stop = min(start + GALLERY, len(rows.codes.radius))
        levels = _padded(rows.codes.levels[start:stop], sad.ROWS)
        tile = np.empty((len(queries), len(levels)), dtype=np.int32)
        sad.byte_distances(queries, levels, split, tile)
        found = _sift(
            tile, start, stop, slab.start, rows.start + start, slab.codes.radius, rows.codes.radius[start:stop],
            slab.identities, rows.identities[start:stop], slab.upper, slab.exact, slab.floor,
            slab.itself, counts, bins.low, bins.shift, out,
        )  # fmt: skip
        yield out[:found]
