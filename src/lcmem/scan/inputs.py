"""What a scan is given, checked, and the gallery in chunks of bounded size."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lcmem.errors import LCMemError
from lcmem.scan.chunked import Blocks, Features, as_blocks
from lcmem.scan.state import fingerprint

CHUNK = 65536
"""Gallery rows that are quantised in memory at once: 32 MB for 512 features."""


@dataclass(frozen=True)
class Source:
    """Queries and gallery.

    Attributes:
        queries: Features ``[Q, D]``.
        gallery: Features ``[G, D]``.
        query_codes: Identities ``[Q]`` int64, −1 where unknown; None if none is known.
        gallery_codes: The same of the gallery.
        itself: Whether both are the same set.
        part: Positions of the queries that are compared.
    """

    queries: Blocks
    gallery: Blocks
    query_codes: np.ndarray | None
    gallery_codes: np.ndarray | None
    itself: bool
    part: range

    @classmethod
    def check(
        cls,
        queries: Features,
        gallery: Features | None,
        query_codes: np.ndarray | None,
        gallery_codes: np.ndarray | None,
        part: range | None,
        features: int,
    ) -> "Source":
        """Shapes that belong together.

        Raises:
            LCMemError: They do not.
        """
        own = _blocks(queries, "queries", features)
        other = own if gallery is None else _blocks(gallery, "gallery", features)
        if gallery is None:
            if gallery_codes is not None:
                raise LCMemError("a set that is compared with itself has one list of identities: query_codes")
            gallery_codes = query_codes
        part = range(len(own)) if part is None else part
        if part.step != 1 or not 0 <= part.start <= part.stop <= len(own):
            raise LCMemError(f"{part} is no part of {len(own)} queries")
        if (query_codes is None) != (gallery_codes is None):
            raise LCMemError("identities are needed of the queries and of the gallery; give both or neither")
        if query_codes is None or gallery_codes is None:
            return cls(own, other, None, None, gallery is None, part)
        # copied: the compiled pass would be compiled once more for arrays that are read-only
        codes = [np.array(known, dtype=np.int64) for known in (query_codes, gallery_codes)]
        if [known.shape for known in codes] != [(len(own),), (len(other),)]:
            raise LCMemError("one identity is needed for each query and for each gallery row")
        return cls(own, other, codes[0], codes[1], gallery is None, part)

    def pairs_of(self, start: int, stop: int) -> int:
        """Pairs of gallery rows ``start`` … ``stop``; in a set with itself only those with earlier pictures."""
        if not self.itself:
            return len(self.part) * (stop - start)
        return int(np.clip(np.arange(start, stop) - self.part.start, 0, len(self.part)).sum())

    def chunks(self) -> Iterator[tuple[int, int, int]]:
        """Number of the block, and positions of the first row and behind the last one, of each chunk."""
        for number, (start, stop) in enumerate(pairwise(self.gallery.starts.tolist())):
            for first in range(start, stop, CHUNK):
                yield number, first, min(first + CHUNK, stop)

    def fingerprint(self, options: object) -> str:
        """Of features, identities and options."""
        known = [] if self.query_codes is None or self.gallery_codes is None else [self.query_codes, self.gallery_codes]
        settings = repr((options, self.itself, self.part, CHUNK)).encode()
        return fingerprint(settings, self.queries.content, self.gallery.content, *(codes.tobytes() for codes in known))


def _blocks(features: Features, name: str, dimension: int) -> Blocks:
    """At least one block of the right shape."""
    found = as_blocks(features)
    for number, block in enumerate(found.parts):
        if block.ndim != 2 or block.shape[1] != dimension:
            raise LCMemError(f"{name}, block {number}: shape {block.shape}; this head takes [N, {dimension}]")
        if block.dtype not in (np.float32, np.float16, np.float64):
            raise LCMemError(f"{name}, block {number}: features of type {block.dtype}; give float32")
    return found if found.parts else Blocks(np.empty((0, dimension), dtype=np.float32))
