"""Finding copies: which pictures of two sets, or of one, are the same ones, and which only look alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.matching.compare import highest_score
from lcmem.matching.copy_levels import ROUNDING, CopyLevels, measure_copies
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.looker import Looker
from lcmem.matching.thumbnails import SAME, Thumbnails
from lcmem.store import Store

CHUNK = 4096
"""Pairs whose features are compared at once."""


@dataclass(frozen=True)
class CopyFinder:
    """Tells copies from look-alikes.

    Attributes:
        detector: The model.
        copy_levels: What copies reach.
        thumbnails: What pictures look like.
    """

    detector: Detector
    copy_levels: CopyLevels
    thumbnails: Thumbnails

    @classmethod
    def of(
        cls,
        real: FeatureSet,
        detector: Detector,
        *,
        others: Sequence[FeatureSet] = (),
        store: Store | None = None,
        workers: int | None = None,
    ) -> "CopyFinder":
        """One that has seen what copies reach; see :func:`measure_copies`.

        Args:
            real: The real set.
            detector: The model.
            others: Sets to copy pictures of where the real ones cannot be opened.
            store: Where to keep the copies' features.
            workers: Decoding processes.
        """
        thumbnails = Thumbnails(workers)
        return cls(detector, measure_copies(real, others, detector, store, thumbnails), thumbnails)

    def looker(self, real: FeatureSet) -> Looker:
        """What looks at pictures beside those of a real set; at all of them where looks tell something."""
        return Looker(real, self.thumbnails, all_real=self.copy_levels.can_look)

    def copies(
        self, first: FeatureSet, one: np.ndarray, second: FeatureSet, two: np.ndarray, scores: np.ndarray
    ) -> np.ndarray:
        """Which pairs are copies: equal in content; or alike enough, and equal in features or in thumbnails.

        Where one picture cannot be opened, as alike as half of the test copies are.

        Args:
            first: A set.
            one: Positions in it, ``[n]``.
            second: A set, or the same one.
            two: Positions in that, ``[n]``.
            scores: Of these pairs ``[n]``.
        """
        found = equal_content(first, one, second, two)
        own = highest_score(first.blocks, self.detector)
        left = np.flatnonzero(~found & (scores >= min(self.copy_levels.candidate, own - ROUNDING)))
        if self.detector.head is not None:  # a hash or a cosine of 1 proves less than 512 equal features
            for start in range(0, len(left), CHUNK):
                part = left[start : start + CHUNK]
                apart = np.abs(first.blocks.take(one[part]) - second.blocks.take(two[part])).max(1)
                found[part] = apart <= ROUNDING
        left = left[~found[left]]
        if len(left) and self.copy_levels.can_look:
            alike = self.thumbnails.compared(first.paths_of(one[left]), second.paths_of(two[left]))
            found[left] = np.where(np.isnan(alike), scores[left] >= self.copy_levels.typical, alike >= SAME)
        return found


def equal_content(first: FeatureSet, one: np.ndarray, second: FeatureSet, two: np.ndarray) -> np.ndarray:
    """Which pairs (one[i], two[i]) of two sets are files of equal content, ``[n]`` booleans."""
    equal: np.ndarray = np.array(first.keys, dtype=object)[one] == np.array(second.keys, dtype=object)[two]
    return equal
