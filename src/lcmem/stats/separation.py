"""Can two sets of pictures be told apart by their features alone?"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

FOLDS, FEWEST, SAMPLED = 5, 25, 500
"""Folds, clusters of each set that it takes, and pictures of each set that are looked at."""
EASY = 0.9
"""Area under the ROC curve from which two sets differ by more than whom they show."""


@dataclass(frozen=True)
class Separation:
    """How well a classifier tells two sets apart.

    Attributes:
        auc: Area under its ROC curve on pictures that it was not fitted to: 0.5 is not at all.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    auc: float
    low: float
    high: float

    @property
    def easy(self) -> bool:
        """Whether the sets surely differ by more than :data:`EASY`."""
        return self.low > EASY


def separation(
    one: np.ndarray, two: np.ndarray, clusters_of_one: np.ndarray, clusters_of_two: np.ndarray
) -> Separation | None:
    """Fit a logistic regression to features and measure it on clusters left out.

    The interval is that of Hanley and McNeil (1982) with as many independent observations as pictures of clusters of
    different sizes are worth (Kish 1965).

    Args:
        one: Features of one set, ``[N, D]``.
        two: Of the other, ``[M, D]``.
        clusters_of_one: Identity, or group of copies, of each picture, ``[N]`` integers.
        clusters_of_two: The same, ``[M]``.

    Returns:
        None with fewer than :data:`FEWEST` clusters in one of the sets.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    counts = [np.unique(clusters, return_counts=True)[1] for clusters in (clusters_of_one, clusters_of_two)]
    if min(map(len, counts)) < FEWEST:
        return None
    features, second = np.concatenate((one, two)), np.repeat([False, True], [len(one), len(two)])
    clusters = np.append(clusters_of_one, clusters_of_two + clusters_of_one.max() + 1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=200))
    parts = StratifiedGroupKFold(FOLDS)
    told = cross_val_predict(model, features, second, groups=clusters, cv=parts, method="decision_function")
    auc = float(roc_auc_score(second, told))
    reach = float(norm.ppf(0.975)) * _error(auc, *(sizes.sum() ** 2 / (sizes**2).sum() for sizes in counts))
    return Separation(auc, max(auc - reach, 0.0), min(auc + reach, 1.0))


def _error(auc: float, one: float, two: float) -> float:
    """Hanley and McNeil's standard error."""
    both, other = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (one - 1) * (both - auc**2) + (two - 1) * (other - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (one * two)))
