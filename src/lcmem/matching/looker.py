"""Looking at pictures, beside their best matches and, very small, beside all pictures of a real set."""

from collections.abc import Sequence

import numpy as np

from lcmem.matching.correlations import PAIRED, RANKS, WAYS, correlate
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.look_levels import Look
from lcmem.matching.overview import SEARCHED, Nearest, Overview, turned_correlation
from lcmem.matching.thumbnails import Thumbnails
from lcmem.pictures.image import PictureLike
from lcmem.progress import progress_bar

CHUNK = 4096
"""Pictures whose thumbnails are compared with all real ones at once."""


class Looker:
    """Looks at pictures beside those of a real set.

    Pictures are paths, or pictures in memory; one that cannot be opened is alike to nothing.

    Args:
        real: The real set.
        thumbnails: What pictures look like, those of the real ones perhaps known already.
        all_real: Whether they are compared with all real ones as well, unless these are more than
            :data:`lcmem.matching.overview.SEARCHED`.
    """

    def __init__(self, real: FeatureSet, thumbnails: Thumbnails, *, all_real: bool = False) -> None:
        self.real, self.thumbnails = real, thumbnails
        self.overview = None
        if all_real and len(real.keys) <= SEARCHED:
            with progress_bar("looking at all", len(real.keys)) as advance:
                self.overview = Overview(thumbnails.each(real.manifest.paths, advance))

    def nearest(
        self, pictures: Sequence[PictureLike], identities: tuple[np.ndarray, np.ndarray] | None = None
    ) -> Nearest:
        """The real picture that looks most like each of n, very small; none where these are not compared.

        Identities are as of :meth:`lcmem.matching.overview.Overview.nearest`.
        """
        found = Nearest.none(len(pictures))
        if self.overview is None:
            return found
        with progress_bar("looking at all", len(pictures)) as advance:
            for start in range(0, len(pictures), CHUNK):
                part = slice(start, start + CHUNK)
                apart = None if identities is None else (identities[0][part], identities[1])
                small = self.thumbnails.each(pictures[part], advance)
                found.positions[part], found.alike[part] = self.overview.nearest(small, apart)
        return found

    def highest(
        self,
        pictures: Sequence[PictureLike],
        positions: np.ndarray,
        identities: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> np.ndarray:
        """How alike pictures look to the most alike of their best matches ``[n, k]``, and of all real ones.

        Identities are as of :meth:`nearest`.

        Returns:
            ``[n, W]``, one for each of :data:`lcmem.matching.correlations.WAYS`; −1 where there is nothing to look at.
        """
        found: np.ndarray = self._beside(pictures, positions).max(1)
        found[:, -1] = self.nearest(pictures, identities).alike
        return found

    def matches(
        self, look: Look, pictures: Sequence[PictureLike], positions: np.ndarray, small: Nearest
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which pictures match some of their best matches by looks, and of which they are copies: both ``[n, k]``.

        Args:
            look: When they do.
            pictures: ``[n]``.
            positions: Their best matches ``[n, k]``; the first :data:`lcmem.matching.correlations.RANKS` are looked at.
            small: As of :meth:`nearest`; what a picture looks most like is looked at where it is among these.
        """
        looks = np.full((*positions.shape, len(WAYS)), -1.0)
        if not look.blind:
            looks[:, :RANKS] = self._beside(pictures, positions[:, :RANKS])
        hits, copies = look.hits(looks), look.copies(looks)
        alike = small.alike >= look.correlations[-1]
        row, rank = np.nonzero((positions == small.positions[:, None]) & alike[:, None])
        both = [pictures[at] for at in row.tolist()], self.real.paths_of(positions[row, rank])
        hits[row, rank] = True
        copies[row, rank] |= self.thumbnails.compared(*both, turned_correlation) >= look.same
        return hits, copies

    def _beside(self, pictures: Sequence[PictureLike], positions: np.ndarray) -> np.ndarray:
        """How alike pictures look to some real ones ``[n, k]``, for each of :data:`WAYS`: ``[n, k, W]``; −1 after
        :data:`PAIRED`, of which a pair alone tells nothing, and where there is nothing to look at."""
        found = np.full((*positions.shape, len(WAYS)), -1.0)
        row, rank = np.nonzero((positions >= 0) & self.real.openable(positions.ravel()).reshape(positions.shape))
        first, second = [pictures[at] for at in row.tolist()], self.real.paths_of(positions[row, rank])
        with progress_bar("looking at matches", len(row)) as advance:
            for at, *both in self.thumbnails.pairs(first, second):
                found[row[at], rank[at], : len(PAIRED)] = correlate(*both)
                advance(len(at))
        return found
