"""The byte pass compiled by Numba (extra ``fast``): tiles of distances, counted and searched while in the cache.

Distances are sums of absolute differences of bytes. On x86 their inner loop is written in LLVM's language: one
instruction (``psadbw``) takes the differences of up to 64 bytes and adds them up, but LLVM's own vectoriser keeps to
short registers and loads each byte again for each pair, which is four times slower. Elsewhere the plain loop is
compiled as it stands.

All compiled functions are in this one file: Numba keeps what it compiled until the file changes, and looks at no other.
"""

import platform
from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lcmem.scan.bounds import DIFFERENT, SAME, UNKNOWN, Bins, GalleryBlock, QueryBlock

QUERIES, GALLERY = 256, 8192
"""Pairs of a step of a task."""
TILE, STRIDE = 1024, 1040
"""Gallery rows whose distances are looked at while the second-level cache holds them, and the columns they are kept in:
not a power of two, or the rows of the tile would share a few lines of the first-level cache."""
BLOCK = 64
"""Pairs per block; a block whose smallest distance exceeds the bound is skipped."""

CACHED = 32
"""Gallery rows that stay in the first-level cache while the queries pass by."""
INSTRUCTIONS = {64: "llvm.x86.avx512.psad.bw.512", 32: "llvm.x86.avx2.psad.bw", 16: "llvm.x86.sse2.psad.bw"}


def _target_features() -> dict[str, bool]:
    """What Numba compiles for: this processor, unless its settings name another one."""
    named: Any = config  # its settings come from the environment
    other = named.CPU_NAME is not None or named.CPU_FEATURES is not None or not named.ENABLE_AVX
    return {} if other else binding.get_host_cpu_features()


def register_bytes() -> int:
    """How many bytes one instruction compares on this machine; 0 where there is no such instruction."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0
    features = _target_features()
    return 64 if features.get("avx512bw") else 32 if features.get("avx2") else 16


BYTES = register_bytes()
DOT = BYTES == 64 and bool(_target_features().get("avx512vnni"))
"""Add with the dot product of words with ones: unlike an addition it never waits for the unit of ``psadbw``."""


def register_queries(register: int) -> int:
    """Queries whose sums with :data:`GALLERY_ROWS` rows fit into the registers: 32 of 64 bytes, or 16 smaller ones."""
    return 4 if register == 64 else 2


QUERY_ROWS, GALLERY_ROWS = register_queries(BYTES), 4
WORD, HALF = ir.IntType(64), ir.IntType(32)


def _sums(builder: ir.IRBuilder, queries: list[Any], rows: list[Any], width: Any) -> list[Any]:
    """A loop over ``width`` bytes at these addresses; the sums of all pairs in order, two in a 64-bit word."""
    byte, halves = ir.VectorType(ir.IntType(8), BYTES), ir.VectorType(HALF, BYTES // 4)
    sums = ir.VectorType(WORD, BYTES // 8)
    call = cgutils.get_or_insert_function
    psadbw = call(builder.module, ir.FunctionType(sums, [byte, byte]), INSTRUCTIONS[BYTES])
    entry, loop = builder.block, builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    at, kept = builder.phi(WORD), [builder.phi(halves) for _ in queries for _ in rows]
    at.add_incoming(WORD(0), entry)

    def load(address: Any) -> Any:
        vector = builder.load(builder.inttoptr(builder.add(address, at), byte.as_pointer()))
        vector.align = 1
        return vector

    def add(old: Any, pair: tuple[Any, Any]) -> Any:
        new = builder.bitcast(builder.call(psadbw, pair), halves)
        if not DOT:
            return builder.add(old, new)
        name, ones = "llvm.x86.avx512.vpdpwssd.512", ir.Constant(halves, [1] * (BYTES // 4))
        return builder.call(call(builder.module, ir.FunctionType(halves, [halves] * 3), name), (old, new, ones))

    left, right = [load(address) for address in queries], [load(address) for address in rows]
    pairs = [(a, b) for a in left for b in right]
    grown = [add(old, pair) for old, pair in zip(kept, pairs, strict=True)]
    onward = builder.add(at, WORD(BYTES))
    at.add_incoming(onward, loop)
    for old, new in zip(kept, grown, strict=True):
        old.add_incoming(ir.Constant(halves, [0] * (BYTES // 4)), entry)
        old.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", onward, width), loop, done)
    builder.position_at_end(done)
    words = [builder.bitcast(value, sums) for value in grown]
    half = ir.Constant(sums, [32] * (BYTES // 8))
    both = [builder.or_(low, builder.shl(high, half)) for low, high in zip(words[::2], words[1::2], strict=True)]
    return _added_up(builder, both)


def _added_up(builder: ir.IRBuilder, vectors: list[Any]) -> list[Any]:
    """Add neighbours, two vectors becoming one, until each element is the sum of one vector."""
    lanes = BYTES // 8
    steps = [ir.Constant(ir.VectorType(HALF, lanes), [*range(first, 2 * lanes, 2)]) for first in (0, 1)]
    left = lanes
    while left > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.add(*(builder.shuffle_vector(*pair, step) for step in steps)) for pair in pairs]
        left //= 2
    return vectors


@intrinsic
def _block_sad(typing: Any, query: Any, row: Any, stride: Any, width: Any, out: Any, out_stride: Any) -> Any:
    """Write the sums of :data:`QUERY_ROWS` × :data:`GALLERY_ROWS` pairs at these addresses to ``out``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        query, row, stride, width, out, out_stride = arguments
        queries = [builder.add(query, builder.mul(stride, WORD(n))) for n in range(QUERY_ROWS)]
        rows = [builder.add(row, builder.mul(stride, WORD(n))) for n in range(GALLERY_ROWS)]
        vectors = _sums(builder, queries, rows, width)
        lanes, own = BYTES // 8, GALLERY_ROWS // 2  # words of a vector, and of one query
        for n in range(QUERY_ROWS):
            vector, first = vectors[n * own // lanes], n * own % lanes
            chosen = ir.Constant(ir.VectorType(HALF, own), [*range(first, first + own)])
            values = builder.shuffle_vector(vector, vector, chosen)
            address = builder.add(out, builder.mul(out_stride, WORD(4 * n)))
            builder.store(values, builder.inttoptr(address, values.type.as_pointer()), align=4)
        return context.get_dummy_value()

    sizes = (types.uintp, types.uintp, types.intp, types.intp, types.uintp, types.intp)
    return types.void(*sizes), generate


@njit(nogil=True, cache=True)
def _vector_sad(queries, rows, start, stop, out):  # type: ignore[no-untyped-def]
    stride, width, columns = queries.shape[1], stop - start, out.shape[1]
    for first in range(0, len(rows), CACHED):
        for i in range(0, len(queries), QUERY_ROWS):
            for j in range(first, min(first + CACHED, len(rows)), GALLERY_ROWS):
                _block_sad(
                    queries.ctypes.data + i * stride + start,
                    rows.ctypes.data + j * stride + start,
                    stride,
                    width,
                    out.ctypes.data + 4 * (i * columns + j),
                    columns,
                )


@njit(nogil=True, cache=True)
def _plain_sad(queries, rows, start, stop, out):  # type: ignore[no-untyped-def]
    for first in range(0, len(rows), CACHED):
        for i in range(len(queries)):
            for j in range(first, min(first + CACHED, len(rows))):
                query, row, total = queries[i, start:stop], rows[j, start:stop], np.int32(0)
                for k in range(len(query)):  # every step cast back: Numba would widen to 64 bits
                    total = np.int32(total + np.int32(abs(np.int32(np.int32(query[k]) - np.int32(row[k])))))
                out[i, j] = total


_kernel = _vector_sad if BYTES else _plain_sad


@njit(nogil=True, cache=True)
def byte_distances(queries, rows, split, out, negative):  # type: ignore[no-untyped-def]
    """Signed sums of absolute differences of every query and every row.

    Args:
        queries: ``[Q, B]`` uint8, contiguous, Q a multiple of :data:`QUERY_ROWS`, B of 64.
        rows: ``[G, B]`` uint8, contiguous, G a multiple of :data:`GALLERY_ROWS`.
        split: Bytes from here on are subtracted; a multiple of 64.
        out: ``[Q, G or more]`` int32, contiguous, to write to.
        negative: As ``out``, to work in; not touched if no bytes are subtracted.
    """
    _kernel(queries, rows, 0, split, out)
    if split < queries.shape[1]:
        _kernel(queries, rows, split, queries.shape[1], negative)
        for i in range(len(queries)):
            for j in range(len(rows)):
                out[i, j] -= negative[i, j]


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
    """As :meth:`lcmem.scan.bounds.QueryBlock.bounds` for one query; return the level above which no pair matters."""
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
def _collect(  # type: ignore[no-untyped-def]
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
        byte_distances(levels, row_levels[start : start + step], split, tile, negative)
        found = _collect(
            tile, start, stop, query, row + start, radius, row_radius[start:stop], identity, row_identity[start:stop],
            upper, exact, floor, itself, counts, low, shift, out, found,
        )  # fmt: skip
    return found


def _padded(levels: np.ndarray, multiple: int) -> np.ndarray:
    missing = -len(levels) % multiple
    return np.pad(levels, ((0, missing), (0, 0))) if missing else levels


def find_candidates(
    queries: QueryBlock, rows: GalleryBlock, split: int, bins: Bins, counts: np.ndarray
) -> Iterator[np.ndarray]:
    """Count all pairs and find those that can matter.

    Args:
        queries: The queries; ``upper`` is brought up to date.
        rows: The gallery rows.
        split: First byte of the negative weights.
        bins: Bins of the histogram.
        counts: ``[3, bins]`` int64, to add to: pairs by kind and distance.

    Yields:
        For each step ``[n, 3]`` int32, overwritten by the next: position within the queries, within the rows, levels.
    """
    query_levels = _padded(queries.codes.levels, QUERY_ROWS)
    out = np.empty((len(queries.codes.radius) * GALLERY, 3), dtype=np.int32)
    tile, negative = np.empty((2, len(query_levels), STRIDE), dtype=np.int32)
    for start in range(0, len(rows.codes.radius), GALLERY):
        stop = min(start + GALLERY, len(rows.codes.radius))
        levels = _padded(rows.codes.levels[start:stop], GALLERY_ROWS)
        found = _pass(
            query_levels, levels, split, tile, negative, TILE, queries.start, rows.start + start,
            queries.codes.radius, rows.codes.radius[start:stop], queries.identities, rows.identities[start:stop],
            queries.upper, queries.exact, queries.floor, queries.itself, counts, bins.low, bins.shift, out,
        )  # fmt: skip
        out[:found, 1] += start
        yield out[:found]
