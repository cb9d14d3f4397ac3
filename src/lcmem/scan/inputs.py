"""What a scan is given, checked, and the gallery in chunks of bounded size."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real

import numpy as np

from lcmem.errors import LCMemError
from lcmem.scan.chunked import ChunkedRows, Features, as_chunked

CHUNK = 65536
"""Gallery rows that are quantised in memory at once: 32 MB for 512 features."""


def check_asked(k: int, threshold: float | None) -> None:
    """Whether so many best matches, and matches from this threshold on, can be found.

    Raises:
        LCMemError: They cannot.
    """
    numbers = isinstance(k, int | np.integer) and (threshold is None or isinstance(threshold, Real))
    if not numbers or k < 1 or (threshold is not None and np.isnan(threshold)):
        raise LCMemError(f"k must be at least 1 and the threshold a number, not {k} and {threshold}")


@dataclass(frozen=True)
class ScanInputs:
    """Validated queries and gallery.

    Attributes:
        queries: Features ``[Q, D]``.
        gallery: Features ``[G, D]``.
        query_identities: Identities ``[Q]`` int64, −1 where unknown; None if none is known.
        gallery_identities: The same for the gallery, ``[G]``.
        itself: Whether both are the same set.
        query_range: Positions of the queries that are compared.
    """

    queries: ChunkedRows
    gallery: ChunkedRows
    query_identities: np.ndarray | None
    gallery_identities: np.ndarray | None
    itself: bool
    query_range: range

    @classmethod
    def check(
        cls,
        queries: Features,
        gallery: Features | None,
        query_identities: np.ndarray | None,
        gallery_identities: np.ndarray | None,
        query_range: range | None,
        features: int | None,
    ) -> "ScanInputs":
        """Check what a scan is given; arguments as of :func:`lcmem.scan.scan`.

        ``features`` is the head's D; None allows any shape and type.

        Raises:
            LCMemError: Shapes, types or numbers of identities that do not fit.
        """
        own = _checked(queries, "queries", features)
        other = own if gallery is None else _checked(gallery, "gallery", features)
        if gallery is None:
            if gallery_identities is not None:
                raise LCMemError("a set that is compared with itself has one list of identities: query_identities")
            gallery_identities = query_identities
        query_range = range(len(own)) if query_range is None else query_range
        if (
            not isinstance(query_range, range)
            or query_range.step != 1
            or not 0 <= query_range.start <= query_range.stop <= len(own)
        ):
            raise LCMemError(f"{query_range} is no part of {len(own)} queries")
        if (query_identities is None) != (gallery_identities is None):
            raise LCMemError("identities are needed of the queries and of the gallery; give both or neither")
        if query_identities is None or gallery_identities is None:
            return cls(own, other, None, None, gallery is None, query_range)
        # copied: the compiled pass would be compiled once more for arrays that are read-only
        identities = [_numbered(known) for known in (query_identities, gallery_identities)]
        if [known.shape for known in identities] != [(len(own),), (len(other),)]:
            raise LCMemError("one identity is needed for each query and for each gallery row")
        return cls(own, other, identities[0], identities[1], gallery is None, query_range)

    def pairs_of(self, start: int, stop: int) -> int:
        """Number of pairs with gallery rows ``start`` … ``stop``; within one set only pairs with earlier pictures."""
        if not self.itself:
            return len(self.query_range) * (stop - start)
        return int(np.clip(np.arange(start, stop) - self.query_range.start, 0, len(self.query_range)).sum())

    def chunks(self) -> Iterator[tuple[int, int, int]]:
        """Yield each chunk of the gallery: number of the array it lies in, first row, last row + 1."""
        for number, (start, stop) in enumerate(pairwise(self.gallery.starts.tolist())):
            for first in range(start, stop, CHUNK):
                yield number, first, min(first + CHUNK, stop)

    def fingerprint(self, options: object) -> str:
        """Hash of features, identities and options."""
        known = [each for each in (self.query_identities, self.gallery_identities) if each is not None]
        settings = repr((options, self.itself, self.query_range, CHUNK)).encode()
        return _digest(settings, self.queries.content, self.gallery.content, *(each.tobytes() for each in known))


def _numbered(identities: np.ndarray) -> np.ndarray:
    given = np.asarray(identities)
    if given.size and given.dtype.kind not in "iu":
        raise LCMemError(f"identities are whole numbers, −1 where unknown, not {given.dtype}")
    return np.array(given, dtype=np.int64)


def _checked(features: Features, name: str, dimension: int | None) -> ChunkedRows:
    """Features as chunked rows of the right shape and type; at least one array."""
    found = as_chunked(features)
    if dimension is None:
        return found
    for number, block in enumerate(found.arrays):
        if block.ndim != 2 or block.shape[1] != dimension:
            raise LCMemError(f"{name}, block {number}: shape {block.shape}; this head takes [N, {dimension}]")
        if block.dtype not in (np.float32, np.float16, np.float64):
            raise LCMemError(f"{name}, block {number}: features of type {block.dtype}; give float32")
    return found if found.arrays else ChunkedRows(np.empty((0, dimension), dtype=np.float32))


def _digest(*parts: bytes) -> str:
    """sha256 over parts, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
