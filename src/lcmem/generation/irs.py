"""The image retrieval score (Dombrowski et al. 2025), exactly: how much of its training set a generator has learnt.

Each query picture (a synthetic one, or a real one that was held out) is assigned to its nearest training picture. If
the generator draws uniformly from s learnt pictures, the number k of distinct ones that n queries hit follows the
occupancy distribution ``P(k | s, n) = s! / (s − k)! · S(n, k) / sⁿ`` with Stirling numbers S of the second kind. The
score is the most likely s as a share of all N training pictures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from lcmem.errors import LCMemError

ALPHA = 0.05
"""Probability that each end of the interval leaves out: it is a 90 % interval."""
NEGLIGIBLE = 1e-25
"""Probabilities that the recursion drops at both ends of the distribution."""
TRIM = 64
"""Steps between two looks at the ends."""


@dataclass(frozen=True)
class RetrievalScore:
    """How many training pictures a generator draws from.

    Attributes:
        distinct: Training pictures that are nearest to some query, k.
        queries: Query pictures, n.
        total: Training pictures, N.
        learnt: The most likely number s of learnt pictures, from k to N.
        low: The smallest s for which k or more distinct pictures are not improbable (:data:`ALPHA`).
        high: The largest s for which k or fewer are not.
    """

    distinct: int
    queries: int
    total: int
    learnt: int
    low: int
    high: int

    @property
    def value(self) -> float:
        """The score: the share of the training set that is learnt."""
        return self.learnt / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 90 % interval of the score."""
        return self.low / self.total, self.high / self.total

    @property
    def capped(self) -> bool:
        """Whether the interval ends at the size of the training set: then only its lower end says something."""
        return self.high == self.total


def retrieval_score(training: np.ndarray, queries: np.ndarray) -> RetrievalScore:
    """The score of query pictures.

    Args:
        training: Features ``[N, D]`` of the training pictures.
        queries: Features ``[n, D]``; nearest is by Euclidean distance, of equal ones the first.

    Raises:
        LCMemError: One of them is empty.
    """
    if not len(training) or not len(queries):
        raise LCMemError("a retrieval score needs at least one training picture and one query")
    nearest = pairwise_distances_argmin(queries, training)
    return score_of_counts(len(np.unique(nearest)), len(queries), len(training))


def score_of_counts(distinct: int, queries: int, total: int) -> RetrievalScore:
    """The score of k distinct training pictures out of N that n queries hit.

    Raises:
        LCMemError: Not ``1 ≤ k ≤ min(n, N)``.
    """
    if not 1 <= distinct <= min(queries, total):
        raise LCMemError(f"{distinct} distinct pictures of {total} cannot be hit by {queries} queries")
    learnt = most_likely(distinct, queries, total)
    low = _first(lambda s: _at_least(distinct, s, queries) >= ALPHA, distinct, learnt)
    beyond = _first(lambda s: _at_most(distinct, s, queries) < ALPHA, learnt, total + 1)
    return RetrievalScore(distinct, queries, total, learnt, low, beyond - 1)


def most_likely(distinct: int, queries: int, total: int) -> int:
    """The s from k to N that makes k distinct pictures most probable.

    The Stirling number does not depend on s, so the probability rises from s to s + 1 as long as
    ``ln((s + 1) / (s + 1 − k)) + n · ln(s / (s + 1))`` is positive. It has one peak; where every query hit another
    picture it rises for ever, and N is the answer.
    """
    if distinct == queries:
        return total

    def falls(s: int) -> bool:
        return -math.log1p(-distinct / (s + 1)) - queries * math.log1p(1 / s) <= 0

    return _first(falls, distinct, total)


def _first(true: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest number from ``low`` on for which a rising condition is true; ``high`` if there is none before."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle + 1, high)
    return low


def _at_most(distinct: int, learnt: int, queries: int) -> float:
    start, chances = occupancy(learnt, queries)
    return float(chances[: max(distinct - start + 1, 0)].sum())


def _at_least(distinct: int, learnt: int, queries: int) -> float:
    start, chances = occupancy(learnt, queries)
    return float(chances[max(distinct - start, 0) :].sum())


def occupancy(learnt: int, queries: int) -> tuple[int, np.ndarray]:
    """Probabilities of the number of distinct pictures that n uniform draws from s hit.

    One more draw hits an old picture with probability k / s and a new one with (s − k) / s, so
    ``p_{m+1}(k) = p_m(k) · k / s + p_m(k − 1) · (s − k + 1) / s``. Only sums of positive numbers: no digits are lost.

    Args:
        learnt: s, at least 1.
        queries: n, at least 1.

    Returns:
        The number that the first probability belongs to, and the probabilities ``[m]``; those of other numbers
        are below :data:`NEGLIGIBLE`.
    """
    start, chances = 1, np.ones(1)
    for draw in range(1, queries):
        new = 1 - np.arange(start, start + len(chances)) / learnt
        longer = np.append(chances * (1 - new), 0.0)
        longer[1:] += chances * new
        chances = longer
        if draw % TRIM == 0:
            kept = np.flatnonzero(chances > NEGLIGIBLE)
            start, chances = start + int(kept[0]), chances[kept[0] : kept[-1] + 1]
    return start, chances
