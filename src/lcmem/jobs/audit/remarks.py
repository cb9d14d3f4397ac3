"""What a reader of an audit should know about its pictures before trusting its numbers."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd

from lcmem.matching.feature_set import FeatureSet
from lcmem.stats.separation import SAMPLED, Separation, separation

FEW = 50
"""Identities that an audit should rest on at least."""
SYNTHETIC, HOLDOUT = "real_or_synthetic", "real_or_holdout"
AREA = "(area under the ROC curve {auc:.2f}, 95 % interval {low:.2f} to {high:.2f})"
MEANING = {
    SYNTHETIC: (
        f"Real and synthetic pictures are told apart by their features alone {AREA}, so chance matches of synthetic "
        "pictures may be rarer or more frequent than those of real ones, on which the threshold was calibrated. "
        "Pictures that show nobody of the real set, made by the same generator, would tell."
    ),
    HOLDOUT: (
        f"The holdout is told apart from the real set by features alone, although both are real {AREA}: it seems "
        "to come from another source, and then its rate says less about chance in the real set."
    ),
}
"""What it means that two sets are told apart easily."""


def separations(sets: Mapping[str, FeatureSet], clusters: np.ndarray) -> dict[str, Separation | None]:
    """How well the real set is told apart from the synthetic one and from the holdout.

    Args:
        sets: ``real``, ``synthetic`` and perhaps ``holdout``.
        clusters: Cluster of each synthetic picture.
    """
    found = {SYNTHETIC: _separation(sets["real"], sets["synthetic"], clusters)}
    if "holdout" in sets:
        found[HOLDOUT] = _separation(sets["real"], sets["holdout"], sets["holdout"].manifest.identity_numbers)
    return found


def _separation(one: FeatureSet, two: FeatureSet, clusters: np.ndarray) -> Separation | None:
    mine, theirs = (np.argsort(np.array(found.keys, dtype=str))[:SAMPLED] for found in (one, two))  # by content
    people, others = (pd.factorize(each)[0] for each in (one.manifest.identity_numbers[mine], clusters[theirs]))
    return separation(one.blocks.take(mine), two.blocks.take(theirs), people, others)


def remarks(real: FeatureSet, found: Mapping[str, Separation | None], divided: bool) -> list[str]:
    """Warnings: few or unknown identities, a holdout from another source, synthetic pictures unlike real ones."""
    names = real.manifest.table["identity"]
    unknown, known = int((~real.bare & (names == "")).sum()), real.manifest.known_identities
    notes = []
    if 0 < known < FEW:
        many = "1 identity" if known == 1 else f"{known} identities"
        notes.append(f"The real set has {many}, fewer than {FEW}: rates of chance are only known roughly.")
    if known and unknown:
        notes.append(
            f"{unknown} of {len(names)} real pictures have no identity: they are compared with the synthetic ones, but "
            "not calibrated on."
        )
    if real.told_apart and divided:
        notes.append(
            f"The real set holds {real.told_apart} kinds of pictures that are not alike by chance, called kind 1 (the "
            "largest) and so on: each has a threshold of its own, as if a column dataset named it."
        )
    return notes + [MEANING[name].format(**asdict(told)) for name, told in found.items() if told and told.easy]


def as_json(found: Mapping[str, Separation | None]) -> dict[str, dict[str, float] | None]:
    """For a summary."""
    return {name: asdict(told) if told else None for name, told in found.items()}
