"""What a scan found."""

import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.errors import LCMemError
from lcmem.files import replacing, write_arrays
from lcmem.scan.bounds import Bins
from lcmem.scan.exact import Matches
from lcmem.scan.quantise import Quantiser
from lcmem.shown import as_html, as_text

KINDS = ("unknown", "same", "different")
"""Names of the kinds of pairs, by whether both identities are known and equal."""

RESULT, HELD_MATCHES = "scan-result.npz", "scan-matches.parquet"
"""Files of a saved result."""


@dataclass(frozen=True)
class Best:
    """The best matches of each query.

    Attributes:
        logits: ``[Q, k]`` float64, best first, −∞ where fewer than k gallery pictures qualify.
        positions: ``[Q, k]`` in the concatenated gallery, −1 there. Of equal logits the lower position comes first.
    """

    logits: np.ndarray
    positions: np.ndarray

    @classmethod
    def join(cls, parts: "Sequence[Best]") -> "Best":
        """Join the lists of consecutive ranges of queries."""
        return cls(np.concatenate([part.logits for part in parts]), np.concatenate([part.positions for part in parts]))


@dataclass(frozen=True)
class Histogram:
    """How many pairs have which score, by distance in levels (see :class:`lcmem.scan.quantise.Quantiser`).

    Every pair is counted exactly once and the counts are exact for the levels; a pair's logit lies within ``error`` of
    its bin, so any cumulative count at an edge is bracketed by the true ones at the edge ± ``error``.

    Attributes:
        edges: Logits ``[bins + 1]``, ascending.
        counts: For each of :data:`KINDS`: pairs ``[bins]``, int64.
        error: How far a logit can lie outside its bin.
    """

    edges: np.ndarray
    counts: dict[str, np.ndarray]
    error: float

    @classmethod
    def build(cls, bins: Bins, counts: np.ndarray, quantiser: Quantiser, radius: int) -> "Histogram":
        """From ``counts`` ``[3, bins]`` by levels; ``radius`` is the largest sum of two radii."""
        levels = bins.low + (np.arange(bins.count + 1) << bins.shift)
        named = {name: counts[kind, ::-1].copy() for kind, name in enumerate(KINDS)}
        return cls(quantiser.logit(levels)[::-1].copy(), named, radius / quantiser.scale)


@dataclass(frozen=True)
class ScanResult:
    """What one pass over all pairs found.

    Attributes:
        best: The best matches of each query.
        same: The best among gallery pictures of the query's identity; None without identities.
        different: The best among gallery pictures of other known identities; None without identities.
        threshold: Logit from which a pair is a match; None if none was asked for.
        match_counts: Exact numbers of matches for each of :data:`KINDS`.
        histogram: Scores of all pairs.
        files: Parquet files of the matches, where they were spilled.
        held: The matches, where they were not.
    """

    best: Best
    same: Best | None
    different: Best | None
    threshold: float | None
    match_counts: dict[str, int]
    histogram: Histogram
    files: list[Path]
    held: Matches

    @classmethod
    def join(cls, parts: "Sequence[ScanResult]") -> "ScanResult":
        """Join the results of consecutive ranges of queries; equal to scanning all queries at once.

        Raises:
            LCMemError: There are none, or they are of different thresholds or numbers of matches.
        """
        if len({(part.threshold, part.best.logits.shape[1], part.same is None) for part in parts}) != 1:
            raise LCMemError("to be joined, results must be of one scan: the same k, threshold and identities")
        first = parts[0]
        lists = {
            name: None if getattr(first, name) is None else Best.join([getattr(part, name) for part in parts])
            for name in ("same", "different")
        }
        return cls(
            best=Best.join([part.best for part in parts]),
            **lists,
            threshold=first.threshold,
            match_counts={kind: sum(part.match_counts[kind] for part in parts) for kind in KINDS},
            histogram=Histogram(
                first.histogram.edges,
                {kind: np.sum([part.histogram.counts[kind] for part in parts], axis=0) for kind in KINDS},
                max(part.histogram.error for part in parts),
            ),
            files=[path for chunk in zip(*(part.files for part in parts), strict=True) for path in chunk],
            held=Matches.join([part.held for part in parts]),
        )

    @property
    def pairs(self) -> int:
        """Pairs compared."""
        return sum(int(counts.sum()) for counts in self.histogram.counts.values())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write what :meth:`load` reads; matches that were spilled stay where they are.

        Args:
            folder: Where; made if it is not there. If it moves, spilled matches have to move along with it.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lists = [found for found in (self.best, self.same, self.different) if found is not None]
        with replacing(folder / HELD_MATCHES) as partial:
            write_matches(partial, self.held)
        write_arrays(
            folder / RESULT,
            logits=np.stack([found.logits for found in lists]),
            positions=np.stack([found.positions for found in lists]),
            threshold=np.array([] if self.threshold is None else [self.threshold]),
            matched=np.array([self.match_counts[kind] for kind in KINDS]),
            edges=self.histogram.edges,
            counts=np.stack([self.histogram.counts[kind] for kind in KINDS]),
            error=self.histogram.error,
            files=np.array([os.path.relpath(path, folder) for path in self.files], dtype=str),
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "ScanResult":
        """Read what :meth:`save` wrote.

        Raises:
            LCMemError: A file is missing or damaged.
        """
        folder = Path(folder)
        try:
            with np.load(folder / RESULT) as saved:
                values = {name: saved[name] for name in saved.files}
            held = read_matches(folder / HELD_MATCHES)
            files = [folder / name for name in values["files"].tolist()]
            found = len(held.query) + sum(pq.read_metadata(path).num_rows for path in files)
            if found != values["matched"].sum():
                raise ValueError(f"{found} matches where {values['matched'].sum()} were found")
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:  # pyarrow's errors are values' too
            raise LCMemError(f"{folder}: holds no scan, or a damaged one ({error}); scan again") from error
        best, same, different = [*map(Best, values["logits"], values["positions"]), None, None][:3]
        assert best is not None
        return cls(
            best=best,
            same=same,
            different=different,
            threshold=next(iter(values["threshold"].tolist()), None),
            match_counts=dict(zip(KINDS, values["matched"].tolist(), strict=True)),
            histogram=Histogram(
                values["edges"], dict(zip(KINDS, values["counts"], strict=True)), float(values["error"])
            ),
            files=files,
            held=held,
        )

    def matches(self) -> pd.DataFrame:
        """All matches in memory: query, gallery (positions), logit and kind, by query and gallery position."""
        return _frame(Matches.join([self.held, *(read_matches(path) for path in self.files)]))

    def match_chunks(self) -> Iterator[pd.DataFrame]:
        """All matches in chunks of bounded size, in the order in which they were found."""
        yield _frame(self.held)
        for path in self.files:
            yield _frame(read_matches(path))

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("pairs", f"{self.pairs:,}"), ("best matches kept", f"{self.best.logits.shape[1]} for each query")]
        if self.threshold is not None:
            rows.append(("threshold", f"{self.threshold:.4f}"))
            found = {kind: count for kind, count in self.match_counts.items() if self.histogram.counts[kind].any()}
            rows += [(f"matches of {kind} identity", f"{count:,}") for kind, count in found.items()]
        return rows

    def __repr__(self) -> str:
        return as_text(f"ScanResult of {len(self.best.logits):,} queries", self._rows())

    def _repr_html_(self) -> str:
        return as_html(f"Scan of {len(self.best.logits):,} queries", self._rows())

    @property
    def failures(self) -> np.ndarray | None:
        """Queries that match a picture of another identity (paper, section 4.4), positions; None if that is unknown."""
        if self.different is None or self.threshold is None:
            return None
        return np.flatnonzero(self.different.logits[:, 0] >= self.threshold)


def _frame(found: Matches) -> pd.DataFrame:
    kind = pd.Categorical.from_codes(found.kind, list(KINDS))
    return pd.DataFrame({"query": found.query, "gallery": found.gallery, "logit": found.logit, "kind": kind})


def write_matches(path: Path, found: Matches) -> None:
    """One Parquet file; ``kind`` is a text column there."""
    kind = pa.DictionaryArray.from_arrays(pa.array(found.kind), pa.array(KINDS))
    columns = {"query": pa.array(found.query), "gallery": pa.array(found.gallery), "logit": pa.array(found.logit)}
    pq.write_table(pa.table({**columns, "kind": kind}), path)


def read_matches(path: Path) -> Matches:
    """What :func:`write_matches` wrote."""
    table = pq.read_table(path).to_pandas()
    kind = pd.Categorical(table["kind"], categories=list(KINDS)).codes
    return Matches(table["query"].to_numpy(), table["gallery"].to_numpy(), table["logit"].to_numpy(), np.asarray(kind))
