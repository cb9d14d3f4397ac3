"""One dataset of the copy benchmark: test pictures, their edited copies, and what is counted of the scores."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from lcmem.detectors.base import Detector
from lcmem.evaluation.copy.threshold_pairs import ThresholdPairs
from lcmem.evaluation.copy.variants import EditedCopies, Variant
from lcmem.evaluation.pairing import Features, Measurement, all_scores, pair_scores
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.stats.bootstrap import draw_counts
from lcmem.stats.roc import Roc

NEAREST = 3
"""Pictures of the background whose mean similarity to a query is taken off its scores (Pizzi et al. 2022)."""
BACKGROUND = 128
"""Validation pictures that make up the background: in the order of their hashes, by chance."""
REPLICATES = 200
"""Bootstrap replicates of the 95 % intervals."""
NEGATIVES = 2
"""Other pictures that each copy is compared with where a detector is too slow for all of them."""


@dataclass(frozen=True)
class CopyScores:
    """Scores of the edited copies of N pictures.

    Attributes:
        table: Of each copy (row) with each original, ``[N, N]``; NaN where they were not compared.
        strangers: Which of them show different identities, ``[N, N]``.
        map: µAP: the average precision of these pairs in one queue; NaN where only a few were compared.
        map_normalised: The same, after score normalisation.
    """

    table: np.ndarray
    strangers: np.ndarray
    map: float
    map_normalised: float

    @property
    def own(self) -> np.ndarray:
        """Scores of each copy with its original, ``[N]``."""
        return np.diagonal(self.table)

    @property
    def others(self) -> np.ndarray:
        """Scores of copies with originals of other identities, ``[M]``."""
        return self.table[self._apart]

    @property
    def _apart(self) -> np.ndarray:
        return self.strangers & ~np.isnan(self.table)

    def rates(self, threshold: float, counts: np.ndarray) -> np.ndarray:
        """Recall, and what it is bought with: shares of both kinds of pairs that reach the threshold, ``[2, R]``.

        Args:
            threshold: A score.
            counts: How often each picture counts in each replicate, ``[R, N]``; a pair of two as often as their
                product.
        """
        weights, reached = counts.astype(np.float64), self.table >= threshold
        with np.errstate(invalid="ignore"):  # NaN where nothing is drawn or there is nobody else
            recall = weights @ np.diagonal(reached) / weights.sum(1)
            return np.stack((recall, _pair_sums(weights, self._apart & reached) / _pair_sums(weights, self._apart)))

    def separation(self) -> dict[str, float]:
        """AUC and specificity at 99 % sensitivity, and both µAP."""
        same = np.arange(len(self.own) + len(self.others)) < len(self.own)
        roc = Roc.of(np.concatenate((self.own, self.others)), same)
        found = {"auc": float(roc.auc()), "specificity_at_99_sensitivity": float(roc.specificity())}
        return found | {"map": self.map, "map_normalised": self.map_normalised}


def _pair_sums(weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Sum over chosen pairs ``[N, N]`` of the product of both weights ``[R, N]``: ``[R]``."""
    return ((weights @ chosen.astype(np.float64)) * weights).sum(1)


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
    calibration: ThresholdPairs

    @property
    def groups(self) -> dict[str, BenchmarkPictures]:
        """The dataset's pictures by what they are for."""
        return {"copied": self.test, "threshold": self.calibration.pictures}

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each original counts: once in the first row, then in each replicate, ``[1 + R, N]``."""
        identities = np.array(self.test.manifest.identities, dtype=object)
        drawn = draw_counts(identities, replicates=REPLICATES, seed=0)
        return np.concatenate((np.ones((1, len(identities)), dtype=drawn.dtype), drawn))

    @cached_property
    def strangers(self) -> np.ndarray:
        """Which originals show another identity than each copy, ``[N, N]``."""
        identities = np.array(self.test.manifest.identities, dtype=object)
        return identities[:, None] != identities[None, :]

    def scores(self, measured: Measurement, plain: tuple[Features, Features], variant: Variant) -> CopyScores:
        """Scores of one variant; ``plain`` are the features of the originals and of the background."""
        copies = EditedCopies(self.test, variant, self.calibration.pictures)
        edited = measured.features(copies.name, self.test.keys, copies.at)
        (originals, background), detector = plain, measured.detector
        if not detector.exhaustive:
            return self._few(detector, edited, originals)
        table = all_scores(detector, edited, originals)
        offset = nearest_mean(all_scores(detector, edited, background, BACKGROUND))
        return CopyScores(
            table,
            self.strangers,
            micro_average_precision(table, self.strangers),
            micro_average_precision(table - offset[:, None], self.strangers),
        )

    def _few(self, detector: Detector, edited: Features, originals: Features) -> CopyScores:
        """With the own original and those up to :data:`NEGATIVES` places further on, in the order of their hashes."""
        copies = np.arange(len(self.test))
        table = np.full((len(copies), len(copies)), np.nan)
        for shift in range(1 + NEGATIVES):
            others = np.roll(copies, -shift)
            chosen = self.strangers[copies, others] | (others == copies)
            first, second = others[chosen], copies[chosen]
            table[second, first] = pair_scores(detector, originals, edited, first, second)
        return CopyScores(table, self.strangers, float("nan"), float("nan"))

    def plain(self, measured: Measurement) -> tuple[Features, Features]:
        """Features of the originals and of the validation pictures."""
        originals, background = (
            measured.features(f"{pictures.size}px", pictures.keys, pictures.at) for pictures in self.groups.values()
        )
        return originals, background

    def rows(self, variant: Variant, rules: dict[str, float], scores: CopyScores) -> list[dict[str, Any]]:
        """A row of the table for each threshold; ``rates`` are recall and false positive rate, ``[2, 1 + R]``."""
        common = {
            "dataset": self.name,
            "transform": variant.transform,
            "strength": variant.strength,
            "n_identities": len(set(self.test.manifest.identities)),
            "n_positive": len(scores.own),
            "n_negative": len(scores.others),
            **scores.separation(),
        }
        return [
            common | {"threshold_rule": rule, "threshold": threshold, "rates": scores.rates(threshold, self.counts)}
            for rule, threshold in rules.items()
        ]


def nearest_mean(scores: np.ndarray) -> np.ndarray:
    """The mean of each row's highest scores, ``[N, M]`` to ``[N]``: how alike a query is to just anything."""
    return np.sort(scores, axis=1)[:, -NEAREST:].mean(1)


def micro_average_precision(table: np.ndarray, strangers: np.ndarray) -> float:
    """µAP of scores ``[N, N]`` of queries (rows) with a gallery whose n-th picture is the n-th query's original.

    All pairs stand in one queue, as in the Image Similarity Challenge (Douze et al. 2021). Pairs that are neither a
    copy nor ``strangers`` (two pictures of one identity) are left out: they are another question's positives.
    """
    own, others = np.diagonal(table), table[strangers]
    same = np.arange(len(own) + len(others)) < len(own)
    return float(average_precision_score(same, np.concatenate((own, others))))
