"""Numbers that say how well scores separate pairs, and how well a picture survives a round trip."""

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor


def auc(scores: np.ndarray, same: np.ndarray) -> float:
    """Area under the ROC curve; NaN where one class is empty. Scores ``[P]`` (higher: more alike), same ``[P]``."""
    if same.all() or not same.any():
        return float("nan")
    return float(roc_auc_score(same, scores))


def specificity_at_sensitivity(scores: np.ndarray, same: np.ndarray, sensitivity: float = 0.99) -> float:
    """Share of negative pairs below the highest threshold that still keeps this share of the positives.

    A pair at or above the threshold counts as positive, so ties speak against the detector. NaN where one class is
    empty (paper, table 2).
    """
    positives, negatives = np.sort(scores[same])[::-1], scores[~same]
    if len(positives) == 0 or len(negatives) == 0:
        return float("nan")
    needed = int(np.ceil(sensitivity * len(positives) - 1e-9))
    return float((negatives < positives[max(needed, 1) - 1]).mean())


def psnr(reconstruction: Tensor, pictures: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, ``[B]``; both ``[B, 3, H, W]`` in [0, 1]."""
    return -10 * (reconstruction - pictures).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
