"""What a scan is given, checked, and the gallery in chunks of bounded size."""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lcmem.errors import LCMemError
from lcmem.scan.standing import fingerprint, sample

CHUNK = 65536
"""Gallery rows that are quantised in memory at once: 32 MB for 512 features."""


@dataclass(frozen=True)
class Source:
    """Queries and gallery.

    Attributes:
        queries: Features ``[Q, D]``.
        gallery: Features ``[n_i, D]``.
        query_codes: Identities ``[Q]`` int64, −1 where unknown; None if none is known.
        gallery_codes: The same for each block.
        itself: Whether both are the same set.
    """

    queries: np.ndarray
    gallery: list[np.ndarray]
    query_codes: np.ndarray | None
    gallery_codes: list[np.ndarray] | None
    itself: bool

    @classmethod
    def check(
        cls,
        queries: np.ndarray,
        gallery: Sequence[np.ndarray],
        query_codes: np.ndarray | None,
        gallery_codes: Sequence[np.ndarray] | None,
        itself: bool,
        features: int,
    ) -> "Source":
        """Shapes that belong together.

        Raises:
            LCMemError: They do not.
        """
        for name, block in [("queries", queries), *((f"gallery block {n}", block) for n, block in enumerate(gallery))]:
            if block.ndim != 2 or block.shape[1] != features:
                raise LCMemError(f"{name}: shape {block.shape}; this head takes [N, {features}] (blocks go in a list)")
            if block.dtype not in (np.float32, np.float16, np.float64):
                raise LCMemError(f"{name}: features of type {block.dtype}; give float32")
        if itself and len(queries) != sum(map(len, gallery)):
            raise LCMemError("itself=True compares one set: queries and the gallery's blocks must hold the same rows")
        if (query_codes is None) != (gallery_codes is None):
            raise LCMemError("identities are needed of the queries and of the gallery; give both or neither")
        if query_codes is None or gallery_codes is None:
            return cls(queries, list(gallery), None, None, itself)
        lengths = [len(queries), *map(len, gallery)]
        codes = [np.asarray(part, dtype=np.int64) for part in (query_codes, *gallery_codes)]
        if [part.shape for part in codes] != [(length,) for length in lengths]:
            raise LCMemError("one identity is needed for each query and each gallery row, in blocks as the features")
        return cls(queries, list(gallery), codes[0], codes[1:], itself)

    @property
    def rows(self) -> int:
        """Pictures in the gallery."""
        return sum(map(len, self.gallery))

    def pairs_of(self, start: int, stop: int) -> int:
        """Pairs that gallery rows ``start`` … ``stop`` take part in; each is counted with its later picture."""
        return (stop * (stop - 1) - start * (start - 1)) // 2 if self.itself else len(self.queries) * (stop - start)

    def chunks(self) -> Iterator[tuple[int, int, slice]]:
        """Position of the first row in the whole gallery, block and rows of each chunk."""
        start = 0
        for number, block in enumerate(self.gallery):
            for first in range(0, len(block), CHUNK):
                yield start + first, number, slice(first, min(first + CHUNK, len(block)))
            start += len(block)

    def identities(self, number: int, part: slice) -> np.ndarray:
        """Of the rows of a chunk."""
        if self.gallery_codes is None:
            return np.full(part.stop - part.start, -1)
        return self.gallery_codes[number][part]

    def fingerprint(self, options: object) -> str:
        """Of shapes, identities, options and a sample of the features."""
        codes = [] if self.query_codes is None else [self.query_codes, *(self.gallery_codes or [])]
        features = []
        for block in (self.queries, *self.gallery):
            features.append(sample(block))
            release(block)  # a sampled row can bring megabytes around it into memory
        return fingerprint(repr((options, self.itself, CHUNK)).encode(), *features, *(part.tobytes() for part in codes))


def release(block: np.ndarray) -> None:
    """Let go of the pages of a memory map that were read; the system would count them as this process's memory."""
    pages = getattr(block, "_mmap", None)
    if isinstance(block, np.memmap) and block.mode == "r" and pages is not None and hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)
