"""Every query against every gallery picture: best matches, matches above a threshold and a histogram in one pass.

Bytes bracket each score (:class:`lcmem.scan.quantise.Quantiser`), so almost all pairs are settled by integers; the few
that can matter are scored by :func:`lcmem.model.pair_logits`. What is reported does not depend on tiles, threads or how
the gallery is cut.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lcmem.errors import LCMemError
from lcmem.progress import Advance, progress_bar
from lcmem.scan import pass_torch, quantise
from lcmem.scan.bounds import DIFFERENT, NOTHING_YET, SAME, Bins, Rows, Slab
from lcmem.scan.chunked import Blocks, Features, release
from lcmem.scan.exact import Matches, Scorer
from lcmem.scan.inputs import Source
from lcmem.scan.quantise import Codes, Quantiser
from lcmem.scan.result import KINDS, Best, Histogram, ScanResult
from lcmem.scan.state import Standing

PENDING = 1 << 19
"""Candidates that a task puts aside before it scores them."""
Sift = Callable[[Slab, Rows, int, Bins, np.ndarray], Iterator[np.ndarray]]


def scan(
    queries: Features,
    gallery: Features | None,
    weight: np.ndarray | torch.Tensor,
    bias: float | torch.Tensor,
    *,
    k: int = 1,
    threshold: float | None = None,
    out: Path | None = None,
    query_codes: np.ndarray | None = None,
    gallery_codes: np.ndarray | None = None,
    part: range | None = None,
    device: str | torch.device = "cpu",
    title: str = "comparing",
) -> ScanResult:
    """Compare all pairs, exactly.

    Args:
        queries: Features ``[Q, D]`` float32 in [0, 1], an array or several of them; they may be memory maps.
        gallery: Features ``[G, D]``, likewise. None takes the queries themselves: no picture is compared with itself,
            each pair is counted once.
        weight: The head's weights ``[D]``, of either sign.
        bias: The head's bias.
        k: Best matches to keep for each query.
        threshold: Logit from which a pair is a match; None looks for none.
        out: Folder for matches and for progress: the same scan, started again after a kill, goes on where it was. None
            keeps all in memory.
        query_codes: Identities ``[Q]`` as integers, −1 where unknown.
        gallery_codes: The same of the gallery ``[G]``.
        part: Positions of the queries to compare; None takes all. The lists of best matches are of these alone.
        device: ``cpu`` (compiled if Numba is installed: extra ``fast``), ``cuda`` or ``mps``.
        title: Of the progress bar.

    Raises:
        LCMemError: Shapes that do not fit, features outside [0, 1], another scan's folder, …
    """
    if k < 1 or (threshold is not None and np.isnan(threshold)):
        raise LCMemError(f"k must be at least 1 and the threshold a number, not {k} and {threshold}")
    weight, bias = (torch.as_tensor(value).detach().cpu() for value in (weight, bias))
    quantiser = Quantiser(weight.numpy(), float(bias))
    source = Source.check(queries, gallery, query_codes, gallery_codes, part, quantiser.features)
    bins, lanes = Bins.over(quantiser.span), 1 if source.query_codes is None else 3
    options = (weight.double().tolist(), float(bias), k, threshold)
    known = "" if out is None else source.fingerprint(options)
    standing = Standing.open(out, known, (len(source.part), lanes, k), bins.count)
    scorer = Scorer(quantiser, weight, bias, np.inf if threshold is None else threshold)
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        radius = _Pass(source, scorer, bins, standing, threads, str(device)).run(title)
    return _result(source, standing, scorer, bins, radius, threshold)


@dataclass(frozen=True)
class _Pass:
    source: Source
    scorer: Scorer
    bins: Bins
    standing: Standing
    threads: Executor
    device: str

    def run(self, title: str) -> int:
        """Do the chunks that are not done; return the largest radius of a query, in levels."""
        part, gallery = self.source.part, self.source.gallery
        codes = self._encode(self.source.queries, part.start, part.stop, "queries")
        chunks = [*self.source.chunks()]
        pairs = [self.source.pairs_of(start, stop) for _, start, stop in chunks]
        done = self.standing.done
        if done == len(chunks):
            return int(codes.radius.max(initial=0))
        with progress_bar(title, sum(pairs), done=sum(pairs[:done])) as advance:
            for (number, start, stop), count in [*zip(chunks, pairs, strict=True)][done:]:
                encoded = self._encode(gallery, start, stop, f"gallery, block {number}")
                known = self.source.gallery_codes
                identities = np.full(stop - start, -1) if known is None else known[start:stop]
                self._compare(codes, Rows(start, gallery[start:stop], encoded, identities), advance, count)
                release(gallery.parts[number])
        return int(codes.radius.max(initial=0))

    def _encode(self, features: Blocks, start: int, stop: int, name: str) -> Codes:
        step = 32 * quantise.ROWS
        starts = range(start, max(stop, start + 1), step)
        encode = self.scorer.quantiser.encode
        return Codes.join([*self.threads.map(lambda at: encode(features[at : min(at + step, stop)], name), starts)])

    def _compare(self, queries: Codes, rows: Rows, advance: Advance, pairs: int) -> None:
        sift, size = backend(self.device)
        starts = range(0, len(queries.radius), size)
        found, counts = [], np.zeros_like(self.standing.counts)
        shares = np.diff(np.linspace(0, pairs, len(starts) + 1).astype(np.int64))
        tasks = self.threads.map(lambda start: self._task(self._slab(queries, start, size), rows, sift), starts)
        for (matches, own), share in zip(tasks, shares, strict=True):
            found.append(matches)
            counts += own
            advance(int(share))
        self.standing.finish_chunk(Matches.join(found), counts, int(rows.codes.radius.max(initial=0)))

    def _slab(self, codes: Codes, start: int, size: int) -> Slab:
        part, standing, quantiser = slice(start, start + size), self.standing, self.scorer.quantiser
        own = Codes(codes.levels[part], codes.radius[part])
        logits, radius = standing.logits[part], own.radius.astype(np.int64)
        first, known = self.source.part.start + start, self.source.query_codes
        place = slice(first, first + len(radius))
        return Slab(
            start=first,
            features=self.source.queries[place],
            codes=own,
            identities=np.full(len(radius), -1) if known is None else known[place],
            logits=logits,
            positions=standing.positions[part],
            upper=np.full(logits.shape, NOTHING_YET, dtype=np.int64),
            exact=quantiser.reach(logits[:, :, -1]) + radius[:, None],
            floor=quantiser.reach(self.scorer.threshold) + radius,
            itself=self.source.itself,
        )

    def _task(self, slab: Slab, rows: Rows, sift: Sift) -> tuple[Matches, np.ndarray]:
        counts, found = np.zeros_like(self.standing.counts), []
        pending: list[np.ndarray] = []
        for candidates in sift(slab, rows, self.scorer.quantiser.split, self.bins, counts):
            pending.append(candidates.copy())
            if sum(map(len, pending)) > PENDING:
                found.append(self.scorer.settle(slab, rows, np.concatenate(pending)))
                pending.clear()
        if pending:
            found.append(self.scorer.settle(slab, rows, np.concatenate(pending)))
        return Matches.join(found), counts


def backend(device: str) -> tuple[Sift, int]:
    """The byte pass for a device, and queries for a task of it."""
    if device == "cpu" and importlib.util.find_spec("numba") is not None:
        try:
            from lcmem.scan import pass_numba
        except (ImportError, RuntimeError) as error:  # a NumPy that Numba refuses, or nowhere to keep compiled code
            warnings.warn(f"comparing slowly, Numba fails ({error}); NUMBA_CACHE_DIR may name a folder", stacklevel=2)
        else:
            return pass_numba.sift, pass_numba.QUERIES
    return partial(pass_torch.sift, device=device), pass_torch.QUERIES


def _result(
    source: Source, standing: Standing, scorer: Scorer, bins: Bins, radius: int, threshold: float | None
) -> ScanResult:
    best = [Best(standing.logits[:, lane], standing.positions[:, lane]) for lane in range(standing.logits.shape[1])]
    return ScanResult(
        best=best[0],
        same=best[SAME] if len(best) > 1 else None,
        different=best[DIFFERENT] if len(best) > 1 else None,
        threshold=threshold,
        pairs=int(standing.counts.sum()),
        match_counts=dict(zip(KINDS, standing.matched.tolist(), strict=True)),
        histogram=Histogram.build(bins, standing.counts, scorer.quantiser, radius + standing.radius),
        files=standing.files(),
        held=standing.matches(),
    )
