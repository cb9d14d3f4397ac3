"""One dataset of the re-identification benchmark: what is compared, and what came out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.evaluation.reid.all_pairs import CELLS, RATES, Exhaustive, compare_all
from lcmem.pairs import Pairs
from lcmem.progress import progress_bar
from lcmem.stats.bootstrap import METRICS, Resampling, interval_columns, measure
from lcmem.stats.reliability import chance_error, reliability
from lcmem.stats.roc import Roc, fold_accuracies

MIN_IDENTITIES = 20
"""Identities with two or more pictures that a dataset needs to count in the macro mean (unless none has as many)."""
CHUNK = 4096
"""Pairs at a time at most."""

NOT_EXHAUSTIVE: dict[str, float] = {
    **dict.fromkeys((*RATES, "map_at_r", "precision_at_1"), float("nan")),
    "n_impostor": 0,
}


@dataclass(frozen=True)
class Task:
    """What is compared in one dataset.

    Attributes:
        name: Of the dataset.
        rows: Positions of its pictures, ``[N]``.
        identities: Theirs, ``[N]``.
        pairs: Positions in ``rows``.
        listed: Whether the pairs were given: then nothing else is compared.
        resampling: Of the pairs.
    """

    name: str
    rows: np.ndarray
    identities: np.ndarray
    pairs: Pairs
    listed: bool
    resampling: Resampling

    @classmethod
    def of(
        cls, pictures: BenchmarkPictures, pairs: Pairs, name: str, *, listed: bool, seed: int, replicates: int
    ) -> "Task":
        """The dataset ``name``, with pairs that are positions in all pictures."""
        identities = np.array(pictures.manifest.identities, dtype=object)
        known = pictures.manifest.table
        inside = (known["dataset"] == name) & (known["identity"] != "")
        rows = np.unique((pairs.first, pairs.second)) if listed else np.flatnonzero(inside)
        first, second = np.searchsorted(rows, pairs.first), np.searchsorted(rows, pairs.second)
        people = identities[rows]
        resampling = Resampling.draw(people[first], people[second], pairs.same, replicates=replicates, seed=seed)
        return cls(name, rows, people, Pairs(first, second, pairs.same, pairs.fold), listed, resampling)

    @property
    def repeated(self) -> int:
        """Identities with two or more pictures."""
        return int((np.unique(self.identities.astype(str), return_counts=True)[1] > 1).sum())

    @property
    def sizes(self) -> dict[str, int]:
        """``n_identities, n_positive, n_negative``."""
        positive = int(self.pairs.same.sum())
        return {
            "n_identities": len(set(self.identities)),
            "n_positive": positive,
            "n_negative": len(self.pairs) - positive,
        }

    def compare(self, detector: Detector, features: Tensor, keep: int) -> "Outcome":
        """Score the pairs and, if the detector is quick enough, every pair.

        Args:
            detector: Compares.
            features: Its features of the pictures, ``[N, D]``.
            keep: How many of the highest scores of different identities to keep.

        Raises:
            LCMemError: A score is not finite.
        """
        scores = self._score(detector, features)
        everything = None
        if detector.exhaustive and not self.listed:
            everything = compare_all(detector, features, self.identities, keep, self.name)
        return Outcome(scores, self.resampling, self.pairs.fold, everything, detector.head is not None)

    def _score(self, detector: Detector, features: Tensor) -> np.ndarray:
        pairs, parts = self.pairs, []
        chunk = max(1, min(CHUNK, CELLS // features.shape[1]))
        with progress_bar(f"{detector.name}: pairs of {self.name}", len(pairs)) as advance:
            for start in range(0, len(pairs), chunk):
                first, second = pairs.first[start : start + chunk], pairs.second[start : start + chunk]
                parts.append(detector.similarity(features[first], features[second]).double().numpy())
                advance(len(first))
        scores = np.concatenate(parts)
        if not np.isfinite(scores).all():
            raise LCMemError(f"{detector.name}: scores that are not finite (NaN)")
        return scores


@dataclass(frozen=True)
class Outcome:
    """What one detector found on one or several datasets.

    Attributes:
        scores: Of the pairs, ``[P]``.
        resampling: Of the pairs.
        fold: Of the pairs, ``[P]``, or None.
        everything: What all pairs left behind, or None.
        logits: Whether the scores are log-odds.
    """

    scores: np.ndarray
    resampling: Resampling
    fold: np.ndarray | None
    everything: Exhaustive | None
    logits: bool

    @classmethod
    def pool(cls, parts: Sequence["Outcome"]) -> "Outcome":
        """All pairs together."""
        folds = [part.fold for part in parts if part.fold is not None]
        found = [part.everything for part in parts if part.everything is not None]
        return cls(
            np.concatenate([part.scores for part in parts]),
            Resampling.pool([part.resampling for part in parts]),
            np.concatenate(folds) if folds else None,
            Exhaustive.pool(found) if found else None,
            all(part.logits for part in parts),
        )

    @cached_property
    def point(self) -> np.ndarray:
        """The :data:`METRICS`, ``[3]``."""
        return measure(Roc.of(self.scores, self.resampling.same))

    @cached_property
    def replicates(self) -> np.ndarray:
        """The :data:`METRICS` in every replicate, ``[3, R]``."""
        return self.resampling.measure(self.scores)

    def numbers(self) -> dict[str, Any]:
        """All columns of the table that depend on the scores, and the reliability ``curve`` where scores are logits."""
        found: dict[str, Any] = interval_columns(METRICS, self.point, self.replicates)
        found |= {"ece": float("nan"), "ece_chance": float("nan"), "curve": None}
        if self.logits and 0 < self.resampling.same.sum() < len(self.scores):
            stated, same = expit(self.scores), self.resampling.same
            curve = reliability(stated, same)
            found |= {"ece": curve.error, "ece_chance": chance_error(stated, same), "curve": curve}
        found |= self.everything.measure() if self.everything else NOT_EXHAUSTIVE
        if self.fold is not None and len(set(self.fold)) > 1:
            shares = fold_accuracies(self.scores, self.resampling.same, self.fold)
            found["accuracy"] = float(shares.mean())
            found["accuracy_se"] = float(shares.std(ddof=1) / len(shares) ** 0.5)
        return found
