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

QUERIES, ROWS = 3, 4
"""Pairs whose sums stay in registers at once: each loaded vector is used three or four times."""
BLOCK = 64
"""Gallery rows that stay in the first-level cache while the queries pass by."""
INSTRUCTIONS = {64: "llvm.x86.avx512.psad.bw.512", 32: "llvm.x86.avx2.psad.bw", 16: "llvm.x86.sse2.psad.bw"}


def register_bytes() -> int:
    """How many bytes one instruction compares on this machine; 0 where there is no such instruction."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0
    features = binding.get_host_cpu_features()
    return 64 if features.get("avx512bw") else 32 if features.get("avx2") else 16


BYTES = register_bytes()


def _sums(builder: ir.IRBuilder, queries: list[Any], rows: list[Any], width: Any) -> list[Any]:
    """A loop over ``width`` bytes at these addresses; the sums of all pairs, two 32-bit numbers in each 64-bit one."""
    word, byte = ir.IntType(64), ir.VectorType(ir.IntType(8), BYTES)
    sums = ir.VectorType(word, BYTES // 8)
    call = cgutils.get_or_insert_function
    psadbw = call(builder.module, ir.FunctionType(sums, [byte, byte]), INSTRUCTIONS[BYTES])
    total = call(builder.module, ir.FunctionType(word, [sums]), f"llvm.vector.reduce.add.v{BYTES // 8}i64")
    entry, loop = builder.block, builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    at, kept = builder.phi(word), [builder.phi(sums) for _ in queries for _ in rows]
    at.add_incoming(word(0), entry)

    def load(address: Any) -> Any:
        vector = builder.load(builder.inttoptr(builder.add(address, at), byte.as_pointer()))
        vector.align = 1
        return vector

    left, right = [load(address) for address in queries], [load(address) for address in rows]
    pairs = [(a, b) for a in left for b in right]
    grown = [builder.add(old, builder.call(psadbw, pair)) for old, pair in zip(kept, pairs, strict=True)]
    onward = builder.add(at, word(BYTES))
    at.add_incoming(onward, loop)
    for old, new in zip(kept, grown, strict=True):
        old.add_incoming(ir.Constant(sums, [0] * (BYTES // 8)), entry)
        old.add_incoming(new, loop)
    builder.cbranch(builder.icmp_signed("<", onward, width), loop, done)
    builder.position_at_end(done)
    # two neighbours are added up across the register at once, the second in the upper halves of its words
    half = ir.Constant(sums, [32] * (BYTES // 8))
    both = [builder.add(low, builder.shl(high, half)) for low, high in zip(grown[::2], grown[1::2], strict=True)]
    return [builder.call(total, [pair]) for pair in both]


@intrinsic
def _block_sad(typing: Any, query: Any, row: Any, stride: Any, width: Any, out: Any, out_stride: Any) -> Any:
    """Write the sums of :data:`QUERIES` × :data:`ROWS` pairs at these addresses to ``out``."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        query, row, stride, width, out, out_stride = arguments
        word = ir.IntType(64)
        queries = [builder.add(query, builder.mul(stride, word(n))) for n in range(QUERIES)]
        rows = [builder.add(row, builder.mul(stride, word(n))) for n in range(ROWS)]
        for n, value in enumerate(_sums(builder, queries, rows, width)):
            step = builder.add(builder.mul(out_stride, word(2 * n // ROWS)), word(2 * n % ROWS))
            address = builder.add(out, builder.mul(step, word(4)))
            builder.store(value, builder.inttoptr(address, word.as_pointer()), align=4)
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


def byte_distances(queries: np.ndarray, rows: np.ndarray, split: int, out: np.ndarray) -> None:
    """Signed sums of absolute differences of every query and every row.

    Args:
        queries: ``[Q, B]`` uint8, contiguous, Q a multiple of :data:`QUERIES`, B of 64.
        rows: ``[G, B]`` uint8, contiguous, G a multiple of :data:`ROWS`.
        split: Bytes from here on are subtracted; a multiple of 64.
        out: ``[Q, G]`` int32, contiguous, to write to.
    """
    kernel = _vector_sad if BYTES else _plain_sad
    kernel(queries, rows, 0, split, out)
    if split < queries.shape[1]:
        negative = np.empty_like(out)
        kernel(queries, rows, split, queries.shape[1], negative)
        np.subtract(out, negative, out=out)
