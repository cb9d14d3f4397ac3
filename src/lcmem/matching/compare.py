"""All pairs of two sets, or chosen ones, with whatever a detector compares by."""

from math import inf, isfinite
from numbers import Real
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.matching.feature_set import FeatureSet
from lcmem.scan import ChunkedRows, ScanResult, scan, scan_tiles
from lcmem.scan.chunked import Features

CHUNK = 4096
"""Pairs whose features are in memory at once."""
ROUNDING = 1e-5
"""By so much a score may lie above the highest one that there is."""


def compare(
    queries: Features | FeatureSet, gallery: Features | FeatureSet | None, detector: Detector, **options: Any
) -> ScanResult:
    """Compare all pairs: by the exact scan where the detector has a head, else in tiles of its similarities.

    Args:
        queries: Features ``[Q, D]``.
        gallery: Features ``[G, D]``; None takes the queries themselves. Of pictures that are equally alike, as hashes
            often are, those of a set come by their content, so that the order of its table decides nothing.
        detector: What made the features.
        **options: ``k, threshold, query_identities, gallery_identities, title`` as of a scan; with a head also ``out``
            and ``device``.
    """
    asked, rows = (given.blocks if isinstance(given, FeatureSet) else given for given in (queries, gallery))
    assert asked is not None
    if detector.head is not None:
        return scan(asked, rows, detector.head, **options)
    among = queries if gallery is None else gallery
    ranks = among.ranks if isinstance(among, FeatureSet) else None
    return scan_tiles(asked, rows, detector.similarities, detector.span, gallery_ranks=ranks, **options)


def score_pairs(
    first: ChunkedRows, one: np.ndarray, second: ChunkedRows, two: np.ndarray, detector: Detector
) -> np.ndarray:
    """Scores ``[n]`` float64 of the pairs (one[i], two[i]) of features ``[N, D]`` and ``[M, D]``."""
    scores = np.empty(len(one))
    for start in range(0, len(one), CHUNK):
        part = slice(start, start + CHUNK)
        u, v = (torch.from_numpy(rows.take(at[part])) for rows, at in ((first, one), (second, two)))
        scores[part] = detector.similarity(u, v).double().numpy()
    return scores


def highest_score(features: ChunkedRows, detector: Detector) -> float:
    """The score of a picture with itself: a head's bias, 1 for a cosine."""
    row = torch.from_numpy(features.take(np.zeros(1, dtype=np.int64)))
    return float(detector.similarity(row, row))


def probabilities(scores: np.ndarray, detector: Detector) -> np.ndarray:
    """Scores as probabilities ``[n]``; NaN for a detector without a head, whose scores are no logits."""
    return expit(scores) if detector.head is not None else np.full(len(scores), np.nan)


def given_score(threshold: float, detector: Detector) -> float:
    """The score that a threshold of the user's stands for: the logit of a probability, or a similarity as it is.

    Raises:
        LCMemError: It is no number; the detector has a head and this is no probability, or it is not finite, or
            nothing reaches it.
    """
    if not isinstance(threshold, Real):
        raise LCMemError(f"the threshold is a number, not {threshold!r}")
    head, highest = detector.head, detector.span[1]
    if head is None:
        if not isfinite(threshold):
            raise LCMemError(f"the threshold is a similarity of {detector.name}, not {threshold}")
        score = threshold
    else:
        if not 0 <= threshold <= 1:
            raise LCMemError(f"the threshold is a probability between 0 and 1, not {threshold}")
        score = float(logit(threshold))
        highest = inf if bool((head.weight < 0).any()) else float(head.bias.detach())
    if score > highest + ROUNDING:
        most = f"similarity {highest:g}" if head is None else f"p {expit(highest):.9g}"
        raise LCMemError(
            f"no two pictures reach the threshold {threshold:g}: by {detector.name} one has {most} with itself; give a "
            "lower one, or none, and it is calibrated where there are pictures to do so"
        )
    return score
