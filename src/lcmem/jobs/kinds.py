"""Whether pictures are of kinds that a model learnt identities of, as its card tells them apart."""

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.matching.features import FeatureSet

SAMPLE = 400
"""Pictures of a set that are looked at."""
RIVAL = "efficientnet-lite0"


def kinds_hint(features: FeatureSet, detector: Detector) -> str | None:
    """One line if most pictures of a set are of kinds that a model learnt no identities of and its card can tell.

    The card's ``kinds`` has weights and a bias for the last part of the features, which do not follow identities; the
    sum is above 0 for other kinds.
    """
    known = detector.card.get("kinds") if isinstance(detector, LCMem) else None
    if known is None:
        return None
    chosen = np.unique(np.linspace(0, len(features.blocks) - 1, SAMPLE).astype(int))
    weights = np.array(known["weights"])
    other = features.blocks.take(chosen)[:, -len(weights) :] @ weights + known["bias"] > 0
    if other.sum() * 2 <= len(other):
        return None
    measured = "; ".join(f"{row['dataset']} {row[RIVAL]:.3f} and {row['model']:.3f}" for row in known["measured"])
    return (
        f"{other.sum()} of {len(other)} real pictures that were looked at are of kinds that {detector.name} learnt no "
        f"identities of (it learnt {known['learnt']}). Edited copies are found all the same; different photos of one "
        f"thing are found better by --model {RIVAL}, and edited copies worse, so use both (AUC of {RIVAL} and "
        f"{detector.name}: {measured})"
    )
