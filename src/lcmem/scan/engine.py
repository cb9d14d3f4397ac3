"""Every query against every gallery picture: best matches, matches above a threshold and a histogram in one pass.

An 8-bit pass with a proven error bound (:class:`lcmem.scan.quantise.Quantiser`) rules out almost all pairs; the others
are scored by :func:`lcmem.model.pair_logits`. Results do not depend on tiles, threads or how the gallery is cut.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from lcmem.devices import usable_device
from lcmem.errors import LCMemWarning
from lcmem.model import Head
from lcmem.progress import Advance, progress_bar
from lcmem.scan import pass_torch
from lcmem.scan.bounds import Bins, GalleryBlock, QueryBlock
from lcmem.scan.chunked import ChunkedRows, Features, release
from lcmem.scan.exact import ExactScorer, Matches
from lcmem.scan.inputs import ScanInputs, check_asked
from lcmem.scan.quantise import Codes
from lcmem.scan.result import Histogram, ScanResult
from lcmem.scan.state import ScanState

PENDING = 1 << 19
"""Candidates that a task collects before it scores them."""
FindCandidates = Callable[[QueryBlock, GalleryBlock, int, Bins, np.ndarray], Iterator[np.ndarray]]


def scan(
    queries: Features,
    gallery: Features | None,
    head: Head,
    *,
    k: int = 1,
    threshold: float | None = None,
    out: str | os.PathLike[str] | None = None,
    query_identities: np.ndarray | None = None,
    gallery_identities: np.ndarray | None = None,
    query_range: range | None = None,
    device: str | torch.device = "cpu",
    title: str = "comparing",
) -> ScanResult:
    """Compare all pairs, exactly.

    Args:
        queries: Features ``[Q, D]`` float32 in [0, 1], an array or several of them; they may be memory maps.
        gallery: Features ``[G, D]``. None takes the queries themselves: no picture is compared with itself, each
            pair is counted once.
        head: Weights ``[D]``, of either sign, and bias.
        k: Best matches to keep for each query.
        threshold: Logit from which a pair is a match; None looks for none.
        out: Folder for matches and for progress: the same scan, started again after a kill, goes on where it was. None
            keeps all in memory.
        query_identities: Identities ``[Q]`` as integers, −1 where unknown.
        gallery_identities: The same for the gallery, ``[G]``.
        query_range: Positions of the queries to compare; None takes all. The lists of best matches hold only these.
        device: ``cpu`` (compiled if Numba is installed: extra ``fast``), ``cuda`` or ``mps``.
        title: Title of the progress bar.

    Raises:
        LCMemError: Shapes that do not fit, features outside [0, 1], another scan's folder, a device that this machine
            does not have, …
    """
    check_asked(k, threshold)
    device = str(usable_device(device))
    scorer = ExactScorer.of(head, np.inf if threshold is None else threshold)
    quantiser = scorer.quantiser
    inputs = ScanInputs.check(queries, gallery, query_identities, gallery_identities, query_range, quantiser.features)
    bins, lanes = Bins.over(quantiser.span), 1 if inputs.query_identities is None else 3
    options = (scorer.weight.double().tolist(), float(scorer.bias), k, threshold)
    known = "" if out is None else inputs.fingerprint(options)
    state = ScanState.open(None if out is None else Path(out), known, (len(inputs.query_range), lanes, k), bins.count)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        radius = _Pass(inputs, scorer, bins, state, threads, device).run(title)
    return state.result(threshold, Histogram.build(bins, state.counts, quantiser, radius + state.radius))


@dataclass(frozen=True)
class _Pass:
    inputs: ScanInputs
    scorer: ExactScorer
    bins: Bins
    state: ScanState
    threads: Executor
    device: str

    def run(self, title: str) -> int:
        """Compare the gallery chunks that are not done yet; return the largest radius of a query, in levels."""
        asked, gallery = self.inputs.query_range, self.inputs.gallery
        codes = self._encode(self.inputs.queries, asked.start, asked.stop, "queries")
        chunks = [*self.inputs.chunks()]
        pairs = [self.inputs.pairs_of(start, stop) for _, start, stop in chunks]
        done = self.state.done
        if done == len(chunks):
            return int(codes.radius.max(initial=0))
        with progress_bar(title, sum(pairs), done=sum(pairs[:done])) as advance:
            for (number, start, stop), count in [*zip(chunks, pairs, strict=True)][done:]:
                encoded = self._encode(gallery, start, stop, f"gallery, block {number}")
                known = self.inputs.gallery_identities
                identities = np.full(stop - start, -1) if known is None else known[start:stop]
                self._compare(codes, GalleryBlock(start, gallery[start:stop], encoded, identities), advance, count)
                release(gallery.arrays[number])
        return int(codes.radius.max(initial=0))

    def _encode(self, features: ChunkedRows, start: int, stop: int, name: str) -> Codes:
        return self.scorer.quantiser.encode_rows(features, start, stop, name, self.threads.map)

    def _compare(self, queries: Codes, rows: GalleryBlock, advance: Advance, pairs: int) -> None:
        find, size = backend(self.device)
        starts = range(0, len(queries.radius), size)
        found, counts = [], np.zeros_like(self.state.counts)
        shares = np.diff(np.linspace(0, pairs, len(starts) + 1).astype(np.int64))
        tasks = self.threads.map(lambda start: self._task(self._query_block(queries, start, size), rows, find), starts)
        for (matches, own), share in zip(tasks, shares, strict=True):
            found.append(matches)
            counts += own
            advance(int(share))
        self.state.finish_chunk(Matches.join(found), counts, int(rows.codes.radius.max(initial=0)))

    def _query_block(self, codes: Codes, start: int, size: int) -> QueryBlock:
        part, state = slice(start, start + size), self.state
        own = Codes(codes.levels[part], codes.radius[part])
        first, known = self.inputs.query_range.start + start, self.inputs.query_identities
        place = slice(first, first + len(own.radius))
        return self.scorer.query_block(
            self.inputs.queries[place],
            own,
            state.logits[part],
            state.positions[part],
            start=first,
            identities=None if known is None else known[place],
            itself=self.inputs.itself,
        )

    def _task(self, queries: QueryBlock, rows: GalleryBlock, find: FindCandidates) -> tuple[Matches, np.ndarray]:
        counts, found = np.zeros_like(self.state.counts), []
        pending: list[np.ndarray] = []
        for candidates in find(queries, rows, self.scorer.quantiser.split, self.bins, counts):
            pending.append(candidates.copy())
            if sum(map(len, pending)) > PENDING:
                found.append(self.scorer.score_candidates(queries, rows, np.concatenate(pending)))
                pending.clear()
        if pending:
            found.append(self.scorer.score_candidates(queries, rows, np.concatenate(pending)))
        return Matches.join(found), counts


def backend(device: str) -> tuple[FindCandidates, int]:
    """The byte pass for a device, and queries for a task of it."""
    compiled = _compiled() if device == "cpu" else None
    if compiled is not None:
        return compiled.find_candidates, compiled.QUERIES
    return partial(pass_torch.find_candidates, device=device), pass_torch.QUERIES


def _compiled() -> ModuleType | None:
    """The byte pass by Numba, where that is installed and works."""
    return None if importlib.util.find_spec("numba") is None else _by_numba()


@cache
def _by_numba() -> ModuleType | None:
    """A process tries, and is told only once that it does not work."""
    try:
        from lcmem.scan import pass_numba
    except (ImportError, RuntimeError) as error:  # a NumPy that Numba refuses, or nowhere to keep compiled code
        told = f"comparing slowly, since Numba fails ({error}); NUMBA_CACHE_DIR may name a folder to write to"
        warnings.warn(told, LCMemWarning, stacklevel=2)
        return None
    return pass_numba
