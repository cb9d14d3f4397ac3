"""What an audit could find: how many pictures of the real set match another one of the same identity."""

from math import inf

import numpy as np
import pandas as pd

from lcmem.matching.compare import compare
from lcmem.matching.correlations import RANKS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import Rate, rate_of

SAMPLED = 1000
"""Real pictures that are looked at, at most, chosen by their content."""


def sensitivity(real: FeatureSet, finder: CopyFinder, calibration: Calibration) -> Rate | None:
    """Share of real pictures that match another one of their identity, which is no copy of them.

    Args:
        real: The real set.
        finder: Tells copies from look-alikes.
        calibration: The threshold.

    Returns:
        None where no threshold was set, or no identity has several pictures.
    """
    identities = pd.factorize(real.manifest.table["identity"].replace("", None))[0].astype(np.int64)
    known = np.flatnonzero(identities >= 0)
    rows = known[np.bincount(identities[known])[identities[known]] > 1] if len(known) else known
    if calibration.logit == inf or not len(rows):
        return None
    rows = np.sort(rows[np.argsort(real.ranks[rows])[:SAMPLED]])
    asked = {"query_identities": identities[rows], "gallery_identities": identities, "title": "sensitivity"}
    best = compare(real.blocks.take(rows), real, finder.detector, k=min(1 + RANKS, len(identities)), **asked).same
    assert best is not None
    others = best.positions >= 0
    at, rank = np.nonzero(others)
    pairs = rows[at], best.positions[at, rank]
    others[at, rank] = (pairs[0] != pairs[1]) & ~finder.copies(real, pairs[0], real, pairs[1], best.logits[at, rank])
    measured = np.flatnonzero(others.any(1))
    if not len(measured):
        return None
    first = others[measured].argmax(1)  # of lists that begin with the best
    scores, partners = best.logits[measured, first], best.positions[measured, first]
    return rate_of(scores >= calibration.thresholds(real.kinds[partners]), identities[rows[measured]])
