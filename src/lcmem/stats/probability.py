"""Probabilities that mean what they say on one's own pictures: Platt's logistic fit, checked on identities left out."""

from dataclasses import dataclass

import numpy as np

from lcmem.stats.reliability import Reliability, reliability

FOLDS, FEWEST = 5, 10
"""Folds of the check, and how many identities with two pictures it takes."""


@dataclass(frozen=True)
class ProbabilityFit:
    """``p = sigmoid(slope · score + intercept)`` for as many matching as unrelated pairs.

    Attributes:
        slope: Of the score.
        intercept: At a score of 0.
        before: Whether the model's own probabilities are right; None for scores that are no logits.
        after: The same of the fitted ones, on identities that the fit did not see.
    """

    slope: float
    intercept: float
    before: Reliability | None
    after: Reliability


def fit_probabilities(scores: np.ndarray, same: np.ndarray, identities: np.ndarray, logits: bool) -> ProbabilityFit:
    """Fit and check (Platt 1999).

    Args:
        scores: Of P pairs, ``[P]``.
        same: Whether a pair shows one identity, ``[P]``.
        identities: Of the first picture of each pair, ``[P]``: pairs of one are in one fold.
        logits: Whether scores are logits.
    """
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    model, table = LogisticRegression(C=1e6, class_weight="balanced"), scores[:, None]
    left_out = cross_val_predict(model, table, same, groups=identities, cv=GroupKFold(FOLDS), method="predict_proba")
    model.fit(table, same)
    before = reliability(expit(scores), same) if logits else None
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    return ProbabilityFit(slope, intercept, before, reliability(left_out[:, 1], same))
