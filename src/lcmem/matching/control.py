"""How alike holdout pictures are to the real set: the control of a threshold, or what it is taken from."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.matching.chance import copy_groups
from lcmem.matching.compare import compare
from lcmem.matching.correlations import RANKS, WAYS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.look_levels import Look
from lcmem.matching.matches import equal_pictures, nearest_pictures
from lcmem.matching.twins import IN_HOLDOUT, twin_table
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import Chance, parted
from lcmem.stats.rates import Rate, rate_of

FEWEST = 20
"""Identities of the holdout that calibrate, and as many that control, where the real set has no identities."""


@dataclass(frozen=True)
class Control:
    """Best scores of holdout pictures against the real set, without those that are real pictures.

    Attributes:
        scores: ``[H]``.
        clusters: Identity or group of copies of each picture, ``[H]``.
        marks: A content hash of each picture's cluster, the same whatever else is in the holdout, ``[H]``.
        kinds: Dataset of the best match of each picture, ``[H]``.
        looks: How alike its thumbnail and those of its best matches are, ``[H, W]``, one for each
            of :data:`lcmem.matching.correlations.WAYS`; −1 where best matches are not looked at.
        twins: Rows of the table of twins.
        left_out: Holdout pictures that are real ones, or show people of such pictures.
    """

    scores: np.ndarray
    clusters: np.ndarray
    marks: np.ndarray
    kinds: np.ndarray
    looks: np.ndarray
    twins: pd.DataFrame
    left_out: int = 0

    def divided(self) -> tuple[Chance, "Control"]:
        """One half of the clusters to calibrate on, the other to control with, by content."""
        order = np.unique(self.marks)
        low = self.marks < order[len(order) // 2]
        chance = Chance(self.scores[low], self.clusters[low], mutual=False)
        rest = {name: getattr(self, name)[~low] for name in ("scores", "clusters", "marks", "kinds", "looks")}
        return parted(chance, self.kinds[low]), replace(self, **rest)

    def rate(self, calibration: Calibration, sure: float, look: Look) -> Rate:
        """Share of pictures that reach the threshold of their kind, or what copies surely are, or match by looks."""
        least = np.minimum(calibration.thresholds(self.kinds), sure)
        matched = (self.scores >= least) | look.hits(self.looks)
        return rate_of(matched, self.clusters)


def control_scores(holdout: FeatureSet, real: FeatureSet, finder: CopyFinder, *, looked: bool = True) -> Control:
    """Best scores of the holdout against the real set; pictures of both, and people of such pictures, are left out.

    Args:
        holdout: H pictures.
        real: The real set.
        finder: Tells copies from look-alikes.
        looked: Whether generated pictures are looked at beside their best match.

    Raises:
        LCMemError: Every holdout picture is a real one.
    """
    k = min(RANKS, len(real.blocks))
    best = compare(holdout, real, finder.detector, k=k, title="holdout × real").best
    rows, partners = np.arange(len(holdout.keys)), best.positions[:, 0]
    nearest = nearest_pictures(holdout, real, finder.detector)
    for other in (nearest, equal_pictures(holdout, real)):
        partners = np.where(other >= 0, other, partners)
    scores = np.where(nearest >= 0, np.inf, best.logits[:, 0])
    copies = finder.copies(holdout, rows, real, partners, scores)
    looks = np.full((len(rows), len(WAYS)), -1.0)
    if looked and finder.copy_levels.can_look:
        looks = finder.looker(real).highest(holdout.manifest.paths, best.positions)
    names = holdout.manifest.table["identity"]
    gone = copies | names.isin(set(names[copies]) - {""}).to_numpy()
    if gone.all():
        raise LCMemError(
            f"all {len(rows)} holdout pictures, or others of their identities, are in the real set; choose others, or "
            "leave the holdout out"
        )
    twins = twin_table(IN_HOLDOUT, holdout, rows[copies], real, partners[copies])
    kept = np.flatnonzero(~gone)
    groups = holdout.manifest.identity_numbers
    if not holdout.manifest.labelled:
        groups = copy_groups(holdout, finder)
    marks = pd.Series(holdout.keys).groupby(groups).transform("min").to_numpy(dtype=object)
    kinds = real.kinds[best.positions[kept, 0]]
    return Control(best.logits[kept, 0], groups[kept], marks[kept], kinds, looks[kept], twins, int(gone.sum()))
