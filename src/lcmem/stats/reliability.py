"""Do probabilities mean what they say?"""

from dataclasses import dataclass

import numpy as np

BINS = 10
"""Of a reliability curve."""
DRAWS = 100
"""Sets of pairs that are drawn to see what error chance makes."""


@dataclass(frozen=True)
class Reliability:
    """Pairs by how probable a match they are said to be.

    Attributes:
        probability: Mean of each bin, ``[K]``.
        share: Share of positive pairs in each bin, ``[K]``.
        weight: Share of all pairs, ``[K]``.
    """

    probability: np.ndarray
    share: np.ndarray
    weight: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of probability and share (Naeini et al. 2015)."""
        return float((self.weight * np.abs(self.probability - self.share)).sum())


def chance_error(probabilities: np.ndarray, same: np.ndarray) -> float:
    """The calibration error that is exceeded in one case of twenty where all probabilities are right.

    With few pairs no share is exactly what it should be. Pairs are drawn again, as many of both kinds as there are,
    with the chances that their probabilities give them; an error below this number proves nothing. Pairs count as
    independent: of many pictures of few people the true number is higher.

    Args:
        probabilities: ``[P]`` in [0, 1].
        same: ``[P]`` booleans, of both kinds.
    """
    rng, weights = np.random.default_rng(0), np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    chances = weights * probabilities, weights * (1 - probabilities)
    numbers = int(same.sum()), int((~same).sum())
    drawn = np.repeat([True, False], numbers)
    errors = []
    for _ in range(DRAWS):
        picked = [rng.choice(len(same), n, p=part / part.sum()) for n, part in zip(numbers, chances, strict=True)]
        errors.append(reliability(probabilities[np.concatenate(picked)], drawn).error)
    return float(np.quantile(errors, 0.95))


def reliability(probabilities: np.ndarray, same: np.ndarray) -> Reliability:
    """Bins of equal mass, positive and negative pairs weighted so that both are half of all.

    There are :data:`BINS` at most, since equal probabilities are never divided.

    Args:
        probabilities: ``[P]`` in [0, 1].
        same: ``[P]`` booleans, of both kinds.
    """
    weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    levels, level = np.unique(probabilities, return_inverse=True)
    mass = np.bincount(level, weights)
    middle = np.cumsum(mass) - mass / 2
    number = np.minimum((middle * BINS).astype(int), BINS - 1)
    total = np.bincount(number, mass, BINS)
    positive = np.bincount(number[level], weights * same, BINS)
    filled = total > 0
    probability = np.bincount(number, mass * levels, BINS)[filled] / total[filled]
    return Reliability(probability, positive[filled] / total[filled], total[filled])
