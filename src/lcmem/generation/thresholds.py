"""From which score on a sample gives a real picture away."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.jobs.compare import compare, highest_score, score_pairs
from lcmem.jobs.features import FeatureSet
from lcmem.stats.calibration import calibrate, calibrate_tail, random_pairs


@dataclass(frozen=True)
class Thresholds:
    """Scores (logits, of a detector without a head similarities) that the verdicts begin at.

    Attributes:
        identity: From here on a sample shows the identity of a real picture.
        copy: From here on it is a copy of the picture; infinite where copies are not told apart.
        explanation: Where both come from, in a sentence.
    """

    identity: float
    copy: float
    explanation: str


def calibrate_thresholds(real: FeatureSet, detector: Detector, rate: float) -> Thresholds:
    """The threshold that an audit of the same real set without a holdout would take.

    Args:
        real: The real set.
        detector: The model.
        rate: Share of pictures of unseen identities that may match one of the real pictures by chance.

    Raises:
        LCMemError: Too few real pictures, or a rate outside (0, 1).
    """
    if not 0 < rate < 1:
        raise LCMemError(f"the false positive rate must lie between 0 and 1, not {rate}")
    identities = pd.factorize(pd.Series(real.manifest.identities))[0]
    if real.manifest.labelled and identities.max() > 0:
        different = compare(real.blocks, None, detector, query_identities=identities, title="chance matches").different
        assert different is not None
        found = calibrate(different.logits[:, 0], None, rate)
    elif len(real.blocks) < 3:
        raise LCMemError("fewer than 3 real pictures are too few to calibrate a threshold on; give one")
    else:
        scores = score_pairs(real.blocks, *random_pairs(np.arange(len(real.blocks))), detector)
        found = calibrate_tail(scores, highest_score(real.blocks, detector), len(real.blocks), rate)
    return Thresholds(found.logit, float("inf"), found.explanation)
