"""Scores of pairs of pictures, from features that are kept or made again when they are needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.evaluation.features import cached_features
from lcmem.progress import Advance

BLOCK = 64
"""Pictures on either side that are compared at once: of pixel features, more would fill the memory."""


@dataclass(frozen=True)
class Measurement:
    """A detector that is being measured.

    Attributes:
        detector: Which.
        cache: Where its features are kept.
        advance: Of a progress bar that counts pictures.
    """

    detector: Detector
    cache: Path
    advance: Advance

    def features(self, variant: str, keys: Sequence[str], pictures: Callable[[np.ndarray], Tensor]) -> "Features":
        """Features of pictures; arguments as of :class:`Features`."""
        return Features(self, variant, keys, pictures)


class Features:
    """Features of N pictures: kept where the detector allows caching, else computed again each time.

    Args:
        measured: The detector, and what counts the N pictures.
        variant: What was done to the pictures, size included.
        keys: Content hash of each picture, ``[N]``.
        pictures: Gives the uint8 pictures ``[B, 3, S, S]`` of some positions ``[B]``.
    """

    def __init__(
        self, measured: Measurement, variant: str, keys: Sequence[str], pictures: Callable[[np.ndarray], Tensor]
    ) -> None:
        self.detector, self.pictures, self.count = measured.detector, pictures, len(keys)
        self.held = None
        if self.detector.fingerprint:
            self.held = cached_features(measured.cache, self.detector, variant, keys, pictures, measured.advance)
        else:
            measured.advance(len(keys))

    def at(self, rows: np.ndarray) -> Tensor:
        """Features ``[B, D]`` of the pictures at these positions ``[B]``."""
        return self.detector.embed(self.pictures(rows)) if self.held is None else self.held[rows]

    @property
    def dims(self) -> int:
        """D."""
        return int(self.at(np.arange(1)).shape[1])


def pair_scores(
    detector: Detector, first: Features, second: Features, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Scores ``[P]`` of the pairs of ``first`` at ``rows`` ``[P]`` with ``second`` at ``columns`` ``[P]``.

    Raises:
        LCMemError: A score is not finite.
    """
    scores = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        at = slice(start, start + BLOCK)
        scores[at] = detector.similarity(first.at(rows[at]), second.at(columns[at])).double().numpy()
    return _finite(detector, scores)


def all_scores(detector: Detector, first: Features, second: Features, most: int | None = None) -> np.ndarray:
    """Scores ``[N, M]`` of everything with everything, or with no more than the first ``most`` of the second.

    Raises:
        LCMemError: A score is not finite.
    """
    count = second.count if most is None else min(most, second.count)
    strips = [strip_scores(detector, first.at(rows), second.at, count, BLOCK) for rows in _blocks(first.count, BLOCK)]
    return np.concatenate([np.empty((0, count)), *strips])


def strip_scores(
    detector: Detector, u: Tensor, gallery: Callable[[np.ndarray], Tensor], count: int, block: int
) -> np.ndarray:
    """Scores ``[B, count]`` of a few pictures with every picture of a gallery.

    Args:
        detector: Compares.
        u: Features of the few, ``[B, D]``.
        gallery: Gives the features of pictures at some positions.
        count: Pictures of the gallery.
        block: Of these, how many to compare at once.

    Raises:
        LCMemError: A score is not finite.
    """
    parts = [detector.similarities(u, gallery(rows)).double().numpy() for rows in _blocks(count, block)]
    return _finite(detector, np.concatenate(parts, axis=1))


def _blocks(count: int, block: int) -> list[np.ndarray]:
    return [np.arange(start, min(start + block, count)) for start in range(0, count, block)]


def _finite(detector: Detector, scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise LCMemError(f"{detector.name}: scores that are not finite (NaN)")
    return scores
