"""A gallery whose bytes stay in memory, for queries that come one at a time, as in a sampling loop.

A scan quantises its gallery every time: negligible for thousands of queries, but most of the work for a single one.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from lcmem.errors import LCMemError
from lcmem.model import Head
from lcmem.scan.bounds import Bins, GalleryBlock, QueryBlock
from lcmem.scan.chunked import ChunkedRows, Features, as_chunked, release
from lcmem.scan.engine import backend
from lcmem.scan.exact import ExactScorer, merge_best
from lcmem.scan.result import Best

CHUNK = 32768
"""Rows between two looks at what they left to be scored exactly."""


class ResidentGallery:
    """Features quantised once, a byte for each (512 MB for a million of 512); the exact ones stay where they are.

    Best matches are those of :func:`lcmem.scan.scan`.

    Args:
        features: ``[G, D]`` float32 in [0, 1], G ≥ 1; they may lie on the disk.
        head: Weights ``[D]`` and bias.

    Raises:
        LCMemError: No rows, features outside [0, 1], or another number of them.
    """

    def __init__(self, features: Features, head: Head) -> None:
        self.features = as_chunked(features)
        if not len(self.features):
            raise LCMemError("a gallery needs at least one picture")
        self.scorer = ExactScorer.of(head, np.inf)
        self.quantiser = self.scorer.quantiser
        self.find, self.block = backend("cpu")
        blocks = [self._quantised(start) for start in range(0, len(self.features), CHUNK)]
        count = torch.get_num_threads()
        self._threads: tuple[int, ThreadPoolExecutor] | None = None
        self.shares = [share for at in range(count) if (share := blocks[at::count])]

    def _quantised(self, start: int) -> GalleryBlock:
        stop = min(start + CHUNK, len(self.features))
        codes = self.quantiser.encode_rows(self.features, start, stop, "gallery")
        for array in self.features.arrays:
            release(array)
        rows: Any = _Rows(self.features, start)
        return GalleryBlock(start, rows, codes, np.full(stop - start, -1))

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Those of this process: a fork has none of the threads of its parent, and would wait for them for ever."""
        if self._threads is None or self._threads[0] != os.getpid():
            self._threads = os.getpid(), ThreadPoolExecutor(max(len(self.shares), 1))
        return self._threads[1]

    def best(self, queries: np.ndarray, k: int = 1) -> Best:
        """The best matches of queries ``[Q, D]``."""
        parts = [self._best(queries[start : start + self.block], k) for start in range(0, len(queries), self.block)]
        return Best.join(parts or [Best(np.empty((0, k)), np.empty((0, k), dtype=np.int64))])

    def _best(self, queries: np.ndarray, k: int) -> Best:
        logits, positions = np.full((len(queries), k), -np.inf), np.full((len(queries), k), -1)
        query = np.repeat(np.arange(len(queries)), k)
        for found in self.threads.map(lambda rows: self._search(queries, k, rows), self.shares):
            merge_best(logits, positions, query, found.positions.ravel(), found.logits.ravel())
        return Best(logits, positions)

    def _search(self, queries: np.ndarray, k: int, rows: list[GalleryBlock]) -> Best:
        """The best matches in a thread's share; what is found early spares the rest of it exact scores."""
        asked, bins = self._asked(queries, k), Bins.over(self.quantiser.span)
        counts = np.zeros((3, bins.count), dtype=np.int64)
        for block in rows:
            found = [part.copy() for part in self.find(asked, block, self.quantiser.split, bins, counts)]
            self.scorer.score_candidates(asked, block, np.concatenate(found))
        return Best(asked.logits[:, 0], asked.positions[:, 0])

    def _asked(self, queries: np.ndarray, k: int) -> QueryBlock:
        codes, shape = self.quantiser.encode(queries, "queries"), (len(queries), 1, k)
        return self.scorer.query_block(queries, codes, np.full(shape, -np.inf), np.full(shape, -1))


class _Rows:
    """The exact features of a block, of which only the rows that are asked for are read."""

    def __init__(self, features: ChunkedRows, start: int) -> None:
        self.features, self.start = features, start

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.features.take(self.start + rows)
