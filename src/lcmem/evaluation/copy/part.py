"""One dataset of the copy benchmark: test pictures, their edited copies, and what is counted of the scores."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from lcmem.detectors.base import Detector
from lcmem.evaluation.copy.calibration import Calibration
from lcmem.evaluation.copy.variants import EditedCopies, Variant
from lcmem.evaluation.features import FeatureCache
from lcmem.evaluation.pairing import Features, all_scores, pair_scores
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.progress import Advance

NEAREST = 3
"""Pictures of the background whose mean similarity to a query is taken off its scores (Pizzi et al. 2022)."""
BACKGROUND = 128
"""Validation pictures that make up the background: in the order of their hashes, by chance."""
NEGATIVES = 2
"""Other pictures that each copy is compared with where a detector is too slow for all of them."""


@dataclass(frozen=True)
class CopyScores:
    """Scores of the edited copies of N pictures.

    Attributes:
        own: Of each copy with its original, ``[N]``.
        others: Of copies with originals of other identities, ``[M]``.
        map: µAP: the average precision of all these pairs in one queue; NaN where ``others`` are only a few.
        map_normalised: The same, after score normalisation.
    """

    own: np.ndarray
    others: np.ndarray
    map: float
    map_normalised: float

    def rates(self, threshold: float) -> dict[str, float]:
        """Recall, and what it is bought with: shares of both kinds of pairs that reach the threshold."""
        return {
            "recall": float((self.own >= threshold).mean()),
            "false_positive_rate": float((self.others >= threshold).mean()) if len(self.others) else float("nan"),
        }


@dataclass(frozen=True)
class CopyPart:
    """One dataset.

    Attributes:
        name: Its name.
        test: The originals.
        calibration: Pairs of its validation split, whose pictures are also the background of the score normalisation
            and stand beside the originals in collages.
    """

    name: str
    test: BenchmarkPictures
    calibration: Calibration

    @property
    def groups(self) -> dict[str, BenchmarkPictures]:
        """Its pictures by what they are for."""
        return {"copied": self.test, "threshold": self.calibration.pictures}

    @cached_property
    def strangers(self) -> np.ndarray:
        """Which originals show another identity than each copy, ``[N, N]``."""
        identities = np.array(self.test.manifest.identities, dtype=object)
        return identities[:, None] != identities[None, :]

    def scores(
        self, detector: Detector, cache: FeatureCache, plain: tuple[Features, Features], variant: Variant, tell: Advance
    ) -> CopyScores:
        """Scores of one variant; ``plain`` are the features of the originals and of the background."""
        copies = EditedCopies(self.test, variant, self.calibration.pictures)
        edited = Features(detector, cache, copies.name, self.test.keys, copies.at, tell)
        originals, background = plain
        if not detector.exhaustive:
            return self._few(detector, edited, originals)
        table = all_scores(detector, edited, originals)
        offset = nearest_mean(all_scores(detector, edited, background, BACKGROUND))
        return CopyScores(
            np.diagonal(table),
            table[self.strangers],
            micro_average_precision(table, self.strangers),
            micro_average_precision(table - offset[:, None], self.strangers),
        )

    def _few(self, detector: Detector, edited: Features, originals: Features) -> CopyScores:
        rows = np.arange(len(self.test))
        own = pair_scores(detector, originals, edited, rows, rows)
        others = [self._shifted(detector, edited, originals, shift) for shift in range(1, 1 + NEGATIVES)]
        return CopyScores(own, np.concatenate(others), float("nan"), float("nan"))

    def _shifted(self, detector: Detector, edited: Features, originals: Features, shift: int) -> np.ndarray:
        """Scores with the original ``shift`` places further on: they lie in the order of their hashes, by chance."""
        copy = np.arange(len(self.test))
        original = np.roll(copy, -shift)
        strange = self.strangers[copy, original]
        return pair_scores(detector, originals, edited, original[strange], copy[strange])

    def plain(self, detector: Detector, cache: FeatureCache, tell: Advance) -> tuple[Features, Features]:
        """Features of the originals and of the validation pictures."""
        originals, background = (
            Features(detector, cache, f"{pictures.size}px", pictures.keys, pictures.at, tell)
            for pictures in self.groups.values()
        )
        return originals, background

    def row(self, variant: Variant, rule: str, threshold: float, scores: CopyScores) -> dict[str, Any]:
        """A row of the table."""
        return {
            "dataset": self.name,
            "transform": variant.transform,
            "strength": variant.strength,
            "threshold_rule": rule,
            **scores.rates(threshold),
            "threshold": threshold,
            "n_positive": len(scores.own),
            "n_negative": len(scores.others),
            "map": scores.map,
            "map_normalised": scores.map_normalised,
        }


def nearest_mean(scores: np.ndarray, count: int = NEAREST) -> np.ndarray:
    """The mean of each row's highest scores, ``[N, M]`` to ``[N]``: how alike a query is to just anything."""
    return np.sort(scores, axis=1)[:, -count:].mean(1)


def micro_average_precision(table: np.ndarray, strangers: np.ndarray) -> float:
    """µAP of scores ``[N, N]`` of queries (rows) with a gallery whose n-th picture is the n-th query's original.

    All pairs stand in one queue, as in the Image Similarity Challenge (Douze et al. 2021). Pairs that are neither a
    copy nor ``strangers`` (two pictures of one identity) are left out: they are another question's positives.
    """
    own, others = np.diagonal(table), table[strangers]
    same = np.arange(len(own) + len(others)) < len(own)
    return float(average_precision_score(same, np.concatenate((own, others))))
