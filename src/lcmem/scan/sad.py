"""Sums of absolute differences of bytes, compiled by Numba (extra ``fast``).

On x86 the inner loop is written in LLVM's language: one instruction (``psadbw``) takes the absolute differences of up
to 64 bytes and adds them up, but LLVM's own vectoriser keeps to short registers and loads each byte anew for each pair,
which is four times slower. Elsewhere the plain loop is compiled as it stands.
"""

import platform
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BLOCK = 32
"""Gallery rows that stay in the first-level cache while the queries pass by."""
INSTRUCTIONS = {64: "llvm.x86.avx512.psad.bw.512", 32: "llvm.x86.avx2.psad.bw", 16: "llvm.x86.sse2.psad.bw"}


def register_bytes() -> int:
    """How many bytes one instruction compares on this machine; 0 where there is no such instruction."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512bw") else 32 if features.get("avx2") else 16


BYTES = register_bytes()
DOT = BYTES == 64 and bool(binding.get_host_cpu_features().get("avx512vnni"))
"""Add with the dot product of words with ones: unlike an addition it never waits for the unit of ``psadbw``."""


def tile_queries(register: int) -> int:
    """Queries whose sums with :data:`ROWS` rows fit into the registers at once: there are 32 of 64 bytes, else 16."""
    return 4 if register == 64 else 2


QUERIES, ROWS = tile_queries(BYTES), 4
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
    """Write the sums of :data:`QUERIES` × :data:`ROWS` pairs at these addresses to ``out``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        query, row, stride, width, out, out_stride = arguments
        queries = [builder.add(query, builder.mul(stride, WORD(n))) for n in range(QUERIES)]
        rows = [builder.add(row, builder.mul(stride, WORD(n))) for n in range(ROWS)]
        vectors = _sums(builder, queries, rows, width)
        lanes, own = BYTES // 8, ROWS // 2  # words of a vector, and of one query
        for n in range(QUERIES):
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
    for first in range(0, len(rows), BLOCK):
        for i in range(0, len(queries), QUERIES):
            for j in range(first, min(first + BLOCK, len(rows)), ROWS):
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
    for first in range(0, len(rows), BLOCK):
        for i in range(len(queries)):
            for j in range(first, min(first + BLOCK, len(rows))):
                query, row, total = queries[i, start:stop], rows[j, start:stop], np.int32(0)
                for k in range(len(query)):  # every step cast back: Numba would widen to 64 bits
                    total = np.int32(total + np.int32(abs(np.int32(np.int32(query[k]) - np.int32(row[k])))))
                out[i, j] = total


_kernel = _vector_sad if BYTES else _plain_sad


@njit(nogil=True, cache=True)
def byte_distances(queries, rows, split, out, negative):  # type: ignore[no-untyped-def]
    """Signed sums of absolute differences of every query and every row.

    Args:
        queries: ``[Q, B]`` uint8, contiguous, Q a multiple of :data:`QUERIES`, B of 64.
        rows: ``[G, B]`` uint8, contiguous, G a multiple of :data:`ROWS`.
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
