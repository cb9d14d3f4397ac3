"""What samples look like beside real pictures, as an audit looks at generated ones (:mod:`lcmem.matching.looks`)."""

from collections.abc import Sequence
from math import inf

import numpy as np

from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.looks import Look, by_looks
from lcmem.matching.overview import SEARCHED, Nearest, Overview
from lcmem.matching.thumbnails import Thumbnails
from lcmem.matching.verdicts import COPY, NO_MATCH, SAME_IDENTITY
from lcmem.pictures.image import PictureLike
from lcmem.progress import progress_bar


class SampleLooks:
    """Looks at samples beside their best matches, and very small beside all real pictures, unless these are too many.

    Args:
        real: The real pictures.
        look: When a sample matches by its looks.
        thumbnails: What pictures look like, those of the real ones perhaps known already.
    """

    def __init__(self, real: FeatureSet, look: Look, thumbnails: Thumbnails) -> None:
        self.real, self.look, self.thumbnails = real, look, thumbnails
        self.overview = None
        if len(real.keys) <= SEARCHED and look.correlations[-1] < inf:
            with progress_bar("looking at all", len(real.keys)) as advance:
                self.overview = Overview(self.thumbnails.each(real.manifest.paths, advance))

    def nearest(self, samples: Sequence[PictureLike]) -> Nearest:
        """The real picture that looks most like each sample, very small; none where these are not compared."""
        if self.overview is None:
            return Nearest.none(len(samples))
        return self.overview.nearest(self.thumbnails.each(samples))

    def judge(
        self, samples: Sequence[PictureLike], positions: np.ndarray, small: Nearest, verdicts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Verdicts by looks as well, which of the best matches each is about, and whether looks decided: ``[n]`` each.

        What the samples look like is forgotten afterwards.

        Args:
            samples: The pictures.
            positions: Their best matches in the real set ``[n, k]``, and among these what they look most like.
            small: As of :meth:`nearest`.
            verdicts: By the scores with the first of these ``[n]``.
        """
        try:
            hits, copies = by_looks(self.look, self.thumbnails, samples, self.real, positions, small)
        finally:
            self.thumbnails.forget(samples)  # samplers write the next ones under the same names
        known = verdicts != NO_MATCH
        cases = [copies.any(1), known, hits.any(1)]
        shown = np.select(cases, [copies.argmax(1), 0, hits.argmax(1)], 0)
        found = np.select(cases, [COPY, verdicts, SAME_IDENTITY], NO_MATCH)
        return found.astype(object), shown, (cases[0] & (verdicts != COPY)) | (cases[2] & ~known)
