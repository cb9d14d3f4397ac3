"""Every picture of a dataset against every other: error rates at strict thresholds, and retrieval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.evaluation.pairing import strip_scores
from lcmem.progress import progress_bar
from lcmem.stats.roc import fnmr_at_fmr

RATES = {"fnmr_at_fmr_1e-3": 1e-3, "fnmr_at_fmr_1e-4": 1e-4}
ROWS, CELLS = 512, 1 << 25
"""Pictures at a time at most; numbers of a block's features or scores at most: pixels are wide."""


@dataclass(frozen=True)
class Exhaustive:
    """Scores that all pairs of one or several datasets leave behind.

    Attributes:
        genuine: Of every pair of one identity, ``[G]``.
        impostors: The highest ones of pairs of different identities.
        n_impostor: How many such pairs there are.
        average_precision: Of each query, ``[Q]``.
        found_first: Whether the best match of each query is of its identity, ``[Q]``.
    """

    genuine: np.ndarray
    impostors: np.ndarray
    n_impostor: int
    average_precision: np.ndarray
    found_first: np.ndarray

    @classmethod
    def pool(cls, parts: Sequence["Exhaustive"]) -> "Exhaustive":
        """Datasets together; pictures are compared within their dataset only."""
        joined = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("genuine", "impostors", "average_precision", "found_first")
        ]
        return cls(joined[0], joined[1], sum(part.n_impostor for part in parts), joined[2], joined[3])

    def measure(self) -> dict[str, float]:
        """``fnmr_at_fmr_1e-3``, ``fnmr_at_fmr_1e-4``, ``map_at_r``, ``precision_at_1`` and ``n_impostor``."""
        queries = len(self.average_precision)
        return {
            **{name: fnmr_at_fmr(self.genuine, self.impostors, self.n_impostor, rate) for name, rate in RATES.items()},
            "map_at_r": float(self.average_precision.mean()) if queries else float("nan"),
            "precision_at_1": float(self.found_first.mean()) if queries else float("nan"),
            "n_impostor": self.n_impostor,
        }


def count_impostors(identities: np.ndarray) -> int:
    """Pairs of pictures of different identities, each once."""
    sizes = np.unique(identities, return_counts=True)[1]
    return (len(identities) ** 2 - int((sizes**2).sum())) // 2


def compare_all(detector: Detector, features: Tensor, identities: np.ndarray, keep: int, title: str) -> Exhaustive:
    """Compare all pictures of one dataset.

    Queries are the pictures whose identity has another one; each searches all other pictures. MAP@R is that of Musgrave
    et al. 2020 ("A Metric Learning Reality Check"): with R other pictures of the identity, the mean over the first R
    places of the precision so far where the place is right, else 0. Pictures with the same score as one of the identity
    stand before it: ties speak against the detector.

    Args:
        detector: Compares.
        features: ``[N, D]``.
        identities: ``[N]`` strings.
        keep: How many of the highest scores of different identities to keep.
        title: For the progress bar.

    Raises:
        LCMemError: A score is not finite.
    """
    count = len(features)
    block = max(1, min(ROWS, CELLS // max(features.shape)))
    genuine, best = [np.empty(0)], np.empty(0)
    precision, first = [np.empty(0)], [np.empty(0, dtype=bool)]
    with progress_bar(f"{detector.name}: all pairs of {title}", count) as advance:
        for start in range(0, count, block):
            rows = np.arange(start, min(start + block, count))
            scores = strip_scores(detector, features[rows], features.__getitem__, count, block)
            same = identities[rows, None] == identities
            later = np.arange(count) > rows[:, None]  # each pair once, none with itself
            genuine.append(scores[same & later])
            best = _highest(np.concatenate((best, scores[~same & later])), keep)
            same[np.arange(len(rows)), rows] = False
            scores[np.arange(len(rows)), rows] = -np.inf
            for row in np.flatnonzero(same.any(1)):
                ranks = _ranks(scores[row], same[row])
                places = np.arange(1, len(ranks) + 1)
                precision.append(np.array([(places / ranks)[ranks <= len(ranks)].sum() / len(ranks)]))
                first.append(ranks[:1] == 1)
            advance(len(rows))
    return Exhaustive(
        np.concatenate(genuine), best, count_impostors(identities), np.concatenate(precision), np.concatenate(first)
    )


def _highest(values: np.ndarray, keep: int) -> np.ndarray:
    return values if len(values) <= keep else np.partition(values, len(values) - keep)[len(values) - keep :]


def _ranks(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Place from 1 of every right picture, best first, behind all wrong ones with the same score."""
    right, wrong = np.sort(scores[same])[::-1], np.sort(scores[~same])
    return np.arange(1, len(right) + 1) + len(wrong) - np.searchsorted(wrong, right, side="left")
