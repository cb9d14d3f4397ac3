"""Resumable state of a scan, saved after every gallery chunk."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lcmem.errors import LCMemError
from lcmem.files import read_arrays, replacing, write_arrays
from lcmem.scan.bounds import DIFFERENT, SAME
from lcmem.scan.exact import Matches
from lcmem.scan.result import KINDS, Best, Histogram, ScanResult, write_matches

STATE = "scan.npz"
HELD = 20_000_000
"""Matches that are kept in memory: half a gigabyte."""


@dataclass
class ScanState:
    """Results over the gallery chunks that are done so far.

    Attributes:
        logits: Best matches ``[Q, 1 or 3, k]``, see :class:`lcmem.scan.bounds.QueryBlock`.
        positions: Positions of these matches in the gallery, of the same shape.
        counts: Histogram: pairs by kind and bin, ``[3, bins]``.
        matched: Number of matches of each kind, ``[3]``.
        done: Number of gallery chunks that are done.
        radius: Largest rounding radius of a gallery row, in levels.
        fingerprint: Hash of everything that the results depend on.
        out: Folder to save to; None saves nothing.
        held: Matches kept in memory, where there is no folder.
    """

    logits: np.ndarray
    positions: np.ndarray
    counts: np.ndarray
    matched: np.ndarray
    done: int
    radius: int
    fingerprint: str
    out: Path | None
    held: list[Matches] = field(default_factory=list)

    @classmethod
    def open(cls, out: Path | None, fingerprint: str, shape: tuple[int, int, int], bins: int) -> "ScanState":
        """The saved state of this scan, or an empty one.

        Raises:
            LCMemError: The folder holds another scan, or a damaged file.
        """
        fresh = cls(
            np.full(shape, -np.inf), np.full(shape, -1), np.zeros((3, bins), np.int64), np.zeros(3, np.int64),
            0, 0, fingerprint, out,
        )  # fmt: skip
        if out is None:
            return fresh
        out.mkdir(parents=True, exist_ok=True)
        return fresh._load(out / STATE) if (out / STATE).is_file() else fresh

    def _load(self, path: Path) -> "ScanState":
        values = read_arrays(path, "delete this folder to scan again")
        if str(values.get("fingerprint")) != self.fingerprint:
            raise LCMemError(
                f"{path.parent}: holds another scan (other pictures, model or settings); choose another folder or "
                "delete this one: pictures that are already encoded stay so"
            )
        for name in ("logits", "positions", "counts", "matched"):
            setattr(self, name, values[name])
        self.done, self.radius = int(values["done"]), int(values["radius"])
        return self

    def finish_chunk(self, found: Matches, counts: np.ndarray, radius: int) -> None:
        """Record a finished gallery chunk. Matches are written before the state, so that the state never lacks any.

        Raises:
            LCMemError: More matches than memory should hold.
        """
        self.counts += counts
        self.matched += np.bincount(found.kind, minlength=3)
        self.radius = max(self.radius, radius)
        if self.out is None:
            self.held.append(found)
            if self.matched.sum() > HELD:
                raise LCMemError(f"more than {HELD} pairs reach the threshold; raise it, or give a folder to write to")
        else:  # also when there are none, so that no file of another, killed scan is taken for this one's
            with replacing(self._match_file(self.done)) as partial:
                write_matches(partial, found)
        self.done += 1
        if self.out is not None:
            self._save(self.out / STATE)

    def _save(self, path: Path) -> None:
        write_arrays(
            path, logits=self.logits, positions=self.positions, counts=self.counts, matched=self.matched,
            done=self.done, radius=self.radius, fingerprint=self.fingerprint,
        )  # fmt: skip

    def _match_file(self, chunk: int) -> Path:
        assert self.out is not None
        return self.out / f"matches-{chunk:06d}.parquet"

    def result(self, threshold: float | None, histogram: Histogram) -> ScanResult:
        """What the finished scan found.

        Args:
            threshold: What it was asked for.
            histogram: Made of :attr:`counts`.
        """
        best = [Best(self.logits[:, lane], self.positions[:, lane]) for lane in range(self.logits.shape[1])]
        return ScanResult(
            best=best[0],
            same=best[SAME] if len(best) > 1 else None,
            different=best[DIFFERENT] if len(best) > 1 else None,
            threshold=threshold,
            match_counts=dict(zip(KINDS, self.matched.tolist(), strict=True)),
            histogram=histogram,
            # without the file of an unfinished chunk that a killed run may have left
            files=[] if self.out is None else [self._match_file(number) for number in range(self.done)],
            held=Matches.join(self.held),
        )
