"""The pairs of the validation split that a dataset's thresholds are taken from."""

import warnings
from dataclasses import dataclass

import numpy as np

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.evaluation.copy.variants import MIX, EditedCopies
from lcmem.evaluation.pairing import Features, Measurement, pair_scores
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.pairs import Pairs, copy_pairs, identity_pairs
from lcmem.stats.thresholds import RULES, thresholds

MAX_POSITIVES = 5000
FEWEST = 100
"""Negative pairs of which one in a hundred is one at all."""


@dataclass(frozen=True)
class ThresholdPairs:
    """Pairs of one dataset's validation pictures.

    With identities: pairs of two pictures, as in the re-identification benchmark. Without: each picture with an edited
    copy of itself (the edits of stage 2), and with that of another picture.

    Attributes:
        pictures: Of the validation split.
        pairs: Positions in it.
        edited: Whether the second of each pair is an edited copy.
    """

    pictures: BenchmarkPictures
    pairs: Pairs
    edited: bool

    @classmethod
    def of(cls, pictures: BenchmarkPictures, protocol: str) -> "ThresholdPairs":
        """Pairs of one dataset.

        Args:
            pictures: Of the validation split, one dataset.
            protocol: Of the negative pairs, see :func:`lcmem.pairs.identity_pairs`.

        Raises:
            LCMemError: There is only one picture.
        """
        pairs = identity_pairs(pictures.manifest, max_positives=MAX_POSITIVES, protocol=protocol)
        edited = bool(pairs.same.all())  # no negatives: at most one identity is known
        if edited:
            pairs = copy_pairs(len(pictures), pictures.manifest.table["dataset"].to_numpy())
        if pairs.same.all():
            raise LCMemError(f"{pictures.datasets[0]!r}: one validation picture is too little to take a threshold from")
        negatives = int((~pairs.same).sum())
        if negatives < FEWEST:
            warnings.warn(
                f"{pictures.datasets[0]!r}: {negatives} negative pairs of the validation split are few for thresholds, "
                f"that of 99 % specificity takes {FEWEST}",
                LCMemWarning,
                stacklevel=3,
            )
        return cls(pictures, pairs, edited)

    @property
    def work(self) -> int:
        """Pictures to embed."""
        return len(self.pictures) * (1 + self.edited)

    def thresholds(self, measured: Measurement, plain: Features, protocol: str) -> dict[str, float]:
        """The threshold of each rule; ``plain`` are the features of the pictures."""
        second = plain
        if self.edited:
            copies = EditedCopies(self.pictures, MIX, self.pictures)
            second = measured.features(copies.name, self.pictures.keys, copies.at)
        scores = pair_scores(measured.detector, plain, second, self.pairs.first, self.pairs.second)
        return thresholds(scores[self.pairs.same], scores[~self.pairs.same], protocol)


def average(found: list[dict[str, float]]) -> dict[str, float]:
    """The mean threshold of each rule (paper, figure 5: for a dataset without identities, that of the others)."""
    return {name: float(np.mean([each[name] for each in found])) for name in RULES["paper"]}
