"""The scan for scores that are not a weighted L1 distance: all pairs in tiles of similarities, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem.errors import LCMemError
from lcmem.progress import progress_bar
from lcmem.scan.bounds import pair_kinds
from lcmem.scan.chunked import ChunkedRows, Features
from lcmem.scan.exact import Matches, Similarity, merge_best
from lcmem.scan.inputs import ScanInputs, check_asked
from lcmem.scan.result import KINDS, Histogram, ScanResult
from lcmem.scan.state import ScanState

QUERIES, GALLERY = 512, 4096
"""Pairs of a tile."""
BINS = 1024
OUTSIDE = 1e-4
"""How far rounding may carry a score out of its span."""


def scan_tiles(
    queries: Features,
    gallery: Features | None,
    similarities: Similarity,
    span: tuple[float, float],
    *,
    k: int = 1,
    threshold: float | None = None,
    query_identities: np.ndarray | None = None,
    gallery_identities: np.ndarray | None = None,
    gallery_ranks: np.ndarray | None = None,
    title: str = "comparing",
) -> ScanResult:
    """Compare all pairs by any similarity. Slower than :func:`lcmem.scan.scan`, and not resumable.

    Args:
        queries: Features ``[Q, D]``, an array or several of them; they may be memory maps.
        gallery: Features ``[G, D]``. None takes the queries themselves: no picture is compared with itself, each pair
            is counted once.
        similarities: Scores ``[n, m]`` of features ``[n, D]`` and ``[m, D]``; higher means more alike.
        span: Lowest and highest score that can occur.
        k: Best matches to keep for each query.
        threshold: Score from which a pair is a match; None looks for none.
        query_identities: Identities ``[Q]`` as integers, −1 where unknown.
        gallery_identities: The same for the gallery, ``[G]``.
        gallery_ranks: Which of equally alike gallery pictures comes first, ``[G]``, a permutation; None: the first one.
        title: Title of the progress bar.

    Returns:
        As of a scan; ``logits`` are scores.

    Raises:
        LCMemError: Shapes that do not fit, a score that is NaN or outside ``span``, or too many matches for memory.
    """
    check_asked(k, threshold)
    inputs = ScanInputs.check(queries, gallery, query_identities, gallery_identities, None, None)
    lanes = 1 if inputs.query_identities is None else 3
    state = ScanState.open(None, "", (len(inputs.queries), lanes, k), BINS)
    job = _Tiles(inputs, similarities, span, np.inf if threshold is None else threshold, state)
    order = None if gallery_ranks is None else np.argsort(gallery_ranks)
    with progress_bar(title, len(inputs.queries) * len(inputs.gallery)) as advance:
        for start, rows in _blocks(inputs.gallery, GALLERY, order):
            theirs = np.arange(start, start + len(rows)) if order is None else order[start : start + len(rows)]
            for first, asked in _blocks(inputs.queries, QUERIES):
                job.compare(first, asked, start, rows, theirs)
                advance(len(asked) * len(rows))
    if order is not None:
        state.positions[:] = np.append(order, -1)[state.positions]  # so far places in this order; −1 stays
    counts = dict(zip(KINDS, state.counts, strict=True))
    return state.result(threshold, Histogram(np.linspace(*span, BINS + 1), counts, OUTSIDE))


def _blocks(features: ChunkedRows, size: int, order: np.ndarray | None = None) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(features), size):
        part = slice(start, start + size)
        rows = np.array(features[part]) if order is None else features.take(order[part])
        yield start, torch.from_numpy(rows)  # copied: it may be a read-only map


@dataclass(frozen=True)
class _Tiles:
    inputs: ScanInputs
    similarities: Similarity
    span: tuple[float, float]
    threshold: float
    state: ScanState

    def compare(self, first: int, asked: Tensor, start: int, rows: Tensor, positions: np.ndarray) -> None:
        """Compare queries from position ``first`` on with gallery rows at ``positions``, in order from ``start`` on."""
        scores = self._scores(asked, rows)
        mine, theirs = first + np.arange(len(asked))[:, None], positions[None]
        kinds = self._kinds(mine, theirs)
        compared = mine != theirs if self.inputs.itself else np.ones(scores.shape, dtype=bool)
        counted = theirs > mine if self.inputs.itself else compared
        lists = self.state.logits[first : first + len(asked)], self.state.positions[first : first + len(asked)]
        for lane in range(lists[0].shape[1]):
            allowed = compared if lane == 0 else compared & (kinds == lane)
            _update(lists[0][:, lane], lists[1][:, lane], np.where(allowed, scores, -np.inf), start)
        query, row = np.nonzero(counted & (scores >= self.threshold))
        found = Matches(first + query, positions[row], scores[query, row], kinds[query, row].astype(np.int8))
        self.state.finish_chunk(found, self._counts(scores[counted], kinds[counted]), 0)

    def _scores(self, asked: Tensor, rows: Tensor) -> np.ndarray:
        scores = self.similarities(asked, rows).double().numpy()
        low, high = self.span
        if not (scores.min() >= low - OUTSIDE and scores.max() <= high + OUTSIDE):  # NaN fails both
            raise LCMemError(f"scores from {scores.min():g} to {scores.max():g} where {low:g} to {high:g} was promised")
        return scores

    def _kinds(self, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        known, others = self.inputs.query_identities, self.inputs.gallery_identities
        if known is None or others is None:
            return np.zeros((len(mine), theirs.shape[1]), dtype=np.int64)
        return pair_kinds(known[mine], others[theirs])

    def _counts(self, scores: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        low, high = self.span
        bins = np.clip(((scores - low) / (high - low) * BINS).astype(np.int64), 0, BINS - 1)
        return np.bincount(kinds * BINS + bins, minlength=3 * BINS).reshape(3, BINS)


def _update(logits: np.ndarray, positions: np.ndarray, scores: np.ndarray, start: int) -> None:
    """Merge a tile ``[q, g]`` into the lists ``[q, k]``; only what can be among the k best is sorted."""
    k = min(logits.shape[1], scores.shape[1])
    bar = np.maximum(np.partition(scores, -k, axis=1)[:, -k], logits[:, -1])
    query, row = np.nonzero((scores >= bar[:, None]) & np.isfinite(scores))
    merge_best(logits, positions, query, start + row, scores[query, row])
