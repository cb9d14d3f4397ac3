"""How alike pictures of different people usually are to a model, as its card says."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.matching.compare import compare
from lcmem.matching.feature_set import FeatureSet
from lcmem.scan.result import Histogram

SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Of pairs of different people; the card has the score that each of them reaches."""
FEWEST = 1000
"""Pairs from which on a dataset says something about the last of these."""


def score_of_share(histogram: Histogram, kind: str, share: float) -> float:
    """The lowest edge that at most this share of the pairs of a kind lies above."""
    counts = histogram.counts[kind]
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return float(histogram.edges[int(np.argmax(above <= share * counts.sum()))] + histogram.error)


def measure_strangers(sets: Mapping[str, FeatureSet], detector: LCMem) -> dict[str, Any]:
    """What a card says under ``strangers``.

    Args:
        sets: Pictures with identities by name of the dataset; those of fewer than :data:`FEWEST` pairs are left out.
        detector: What made their features.

    Returns:
        ``shares``, and under ``datasets`` for each the number of ``pairs`` and the ``scores`` that those shares reach.
    """
    found = {}
    for name, features in sets.items():
        identities = features.manifest.identity_numbers
        histogram = compare(features.blocks, None, detector, query_identities=identities, title=name).histogram
        pairs = int(histogram.counts["different"].sum())
        if pairs >= FEWEST:
            scores = [round(score_of_share(histogram, "different", share), 3) for share in SHARES]
            found[name] = {"pairs": pairs, "scores": scores}
    return {"shares": list(SHARES), "datasets": found}


def usual_share(detector: Detector, score: float) -> str:
    """In a sentence, how many pairs of different people lie above a score; "" if the model's card does not say."""
    known = detector.card.get("strangers")
    if known is None:
        return ""
    shares, datasets = known["shares"], known["datasets"]
    found = {name: _share(score, each["scores"], shares) for name, each in datasets.items()}
    texts = {name: _said(share, shares) for name, share in found.items()}
    low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    spread = f"{texts[low]} in {low}, {texts[high]} in {high}; " if texts[low] != texts[high] else ""
    pairs = sum(each["pairs"] for each in datasets.values())
    mean = _said(float(np.mean([*found.values()])), shares)
    return f"{mean} of pairs of different people lie above it ({spread}{pairs:,} pairs of the validation data)"


def _share(score: float, scores: Sequence[float], shares: Sequence[float]) -> float:
    """Between the scores that are known by a straight line in the share's logarithm."""
    return float(np.exp(np.interp(score, scores, np.log(shares))))


def _said(share: float, shares: Sequence[float]) -> str:
    if share >= shares[0]:
        return f"more than {shares[0]:.0%}"
    return f"less than {shares[-1]:.1%}" if share <= shares[-1] * (1 + 1e-9) else f"{share:.1%}"
