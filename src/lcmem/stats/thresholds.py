"""From which score on two pictures count as the same: taken from pairs of the validation split."""

from collections.abc import Callable

import numpy as np

Rule = Callable[[np.ndarray, np.ndarray], float]


def keeping_recall(scores: np.ndarray, share: float) -> float:
    """The highest threshold that this share of scores ``[P]`` reaches (reaching it is ``score >= threshold``)."""
    needed = int(np.ceil(share * len(scores) - 1e-9))
    return float(np.sort(scores)[::-1][max(needed, 1) - 1])


def keeping_out(scores: np.ndarray, share: float) -> float:
    """The lowest threshold that this share of scores ``[P]`` stays below: just above one of them, ties included."""
    needed = int(np.ceil(share * len(scores) - 1e-9))
    return float(np.nextafter(np.float64(np.sort(scores)[max(needed, 1) - 1]), np.inf))


RULES: dict[str, dict[str, Rule]] = {
    "fixed": {
        "specificity-50": lambda positives, negatives: keeping_out(negatives, 0.5),
        "recall-95": lambda positives, negatives: keeping_recall(positives, 0.95),
        "specificity-99": lambda positives, negatives: keeping_out(negatives, 0.99),
    },
    "paper": {
        "specificity-50": lambda positives, negatives: float(np.percentile(negatives, 50)),
        "recall-95": lambda positives, negatives: float(np.percentile(negatives, 5)),
        "specificity-99": lambda positives, negatives: float(np.percentile(negatives, 99)),
    },
}
"""The rules of each protocol.

The paper names two: 95 % recall on the validation set (its section 4) and 50 % specificity (section 4.2 and figures 4
and 5). For the former the official code takes the 5th percentile of the *negative* pairs, which is no recall at all but
a specificity of 5 %; protocol ``paper`` does the same, ``fixed`` takes the positive pairs. For the latter ``paper``
takes numpy's interpolated percentile; ``fixed`` a threshold that really leaves half of the negatives below it, ties
counting against the detector. The paper has no rule of 99 % specificity.
"""


def thresholds(positives: np.ndarray, negatives: np.ndarray, protocol: str = "fixed") -> dict[str, float]:
    """The threshold of each rule.

    Args:
        positives: Scores of pairs that belong together, at least one.
        negatives: Scores of pairs that do not, at least one.
        protocol: See :data:`RULES`.
    """
    return {name: rule(positives, negatives) for name, rule in RULES[protocol].items()}
