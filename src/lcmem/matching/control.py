"""What an audit's threshold is taken from, and what controls it: never the same pictures."""

import os
from dataclasses import dataclass, replace
from math import inf
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.matching.chance import OwnMatches, copy_groups, match_others, merge, reconcile
from lcmem.matching.compare import compare
from lcmem.matching.copies import CopyFinder
from lcmem.matching.features import FeatureSet
from lcmem.matching.looks import BLIND, RANKS, UNMEASURED, WAYS, Look, measure_look
from lcmem.matching.matches import equal_pictures, nearest_pictures
from lcmem.stats.chance import CONFIDENCE, Chance
from lcmem.stats.rates import Rate, effective_number, proportion

LOOKED = 500
"""Chance matches of the real set whose thumbnails are compared, at most."""
FEWEST = 20
"""Identities of the holdout that calibrate, and as many that control, where the real set has no identities."""
TWINS = ["kind", "path", "identity", "other", "other_identity"]
TWO_IDENTITIES = "the same picture under two identities"
IN_HOLDOUT = "in the real set and in the holdout"
IN_BOTH = "synthetic picture that is a file of the real set"


@dataclass(frozen=True)
class Control:
    """Best scores of holdout pictures against the real set, without those that are real pictures.

    Attributes:
        scores: ``[H]``.
        clusters: Identity or group of copies of each picture, ``[H]``.
        marks: A content hash of each picture's cluster, the same whatever else is in the holdout, ``[H]``.
        looks: How alike its thumbnail and those of its best matches are, ``[H, W]`` as of
            :func:`lcmem.matching.looks.correlate`; −1 where best matches are not looked at.
        twins: Rows of the table of twins.
    """

    scores: np.ndarray
    clusters: np.ndarray
    marks: np.ndarray
    looks: np.ndarray
    twins: pd.DataFrame

    def divided(self) -> tuple[Chance, "Control"]:
        """One half of the clusters to calibrate on, the other to control with, by content."""
        order = np.unique(self.marks)
        low = self.marks < order[len(order) // 2]
        rest = Control(self.scores[~low], self.clusters[~low], self.marks[~low], self.looks[~low], self.twins)
        return Chance(self.scores[low], self.clusters[low], mutual=False), rest

    def rate(self, threshold: float, look: Look) -> Rate:
        """Share of pictures that reach a threshold, or match by their looks."""
        matched = (self.scores >= threshold) | look.hits(self.looks)
        return proportion(int(matched.sum()), len(matched), effective_number(self.clusters, matched))


class OwnChance(NamedTuple):
    """Chance matches of a real set's own pictures.

    Attributes:
        chance: The chance matches.
        method: What they were measured on, a key of :data:`lcmem.stats.calibration.ORIGINS`.
        twins: Pictures that are filed under two identities.
        groups: Group of copies of each picture, ``[N]``; None where identities made that needless.
        matches: What the chance matches are taken from.
    """

    chance: Chance
    method: str
    twins: pd.DataFrame
    groups: np.ndarray | None
    matches: OwnMatches

    def look(self, real: FeatureSet, finder: CopyFinder, confidence: float = CONFIDENCE) -> Look:
        """When pictures match by their looks, from at most :data:`LOOKED` chance matches, chosen by their content."""
        identities = self.matches.identities
        rows = np.flatnonzero((identities >= 0) & (self.matches.partners >= 0))
        if len(rows) > LOOKED:
            rows = np.sort(rows[np.argsort(np.array(real.keys, dtype=object)[rows], kind="stable")[:LOOKED]])
        if finder.levels.candidate == inf:
            return BLIND
        if not len(rows):
            return UNMEASURED
        known = {"query_identities": identities[rows], "gallery_identities": identities, "title": "chance looks"}
        queries, k = real.blocks.take(rows), min(RANKS, len(identities))
        best = compare(queries, real.blocks, finder.detector, k=k, **known).different
        assert best is not None
        looks = finder.best_looks(real, rows, real, best.positions)
        chance = replace(self.chance, scores=self.matches.scores[rows], clusters=identities[rows])
        return measure_look(looks, chance, confidence)


def real_chance(real: FeatureSet, finder: CopyFinder, listed: np.ndarray | None = None) -> OwnChance:
    """Chance matches of the real set's own pictures.

    Args:
        real: N pictures.
        finder: Tells copies from look-alikes.
        listed: Positions of those that are files of the synthetic set: nobody knows whom these show.

    Raises:
        LCMemError: Fewer than three pictures.
    """
    if len(real.keys) < 3:
        raise LCMemError("fewer than 3 real pictures are too few to calibrate a threshold on; give --threshold")
    names = real.manifest.table["identity"]
    identities = pd.factorize(names.where(names != ""))[0].astype(np.int64)
    if listed is not None and len(listed) < len(identities):
        identities[listed] = -1
    twins = twin_table(TWO_IDENTITIES, real, np.empty(0, int), real, np.empty(0, int))
    if identities.max() > 0:
        own = match_others(real, identities, finder, reconcile)
        twins = twin_table(TWO_IDENTITIES, real, own.copies[:, 0], real, own.copies[:, 1])
        if own.identities.max() > 0:
            return OwnChance(_chance(own), "identities", twins, None, own)
    own = match_others(real, np.arange(len(names)), finder, merge)
    return OwnChance(_chance(own), "copy groups", twins, own.identities, own)


def _chance(own: OwnMatches) -> Chance:
    known = own.identities >= 0
    return Chance(own.scores[known], own.identities[known], mutual=True, growth=len(known) / int(known.sum()))


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
    best = compare(holdout.blocks, real.blocks, finder.detector, k=k, title="holdout × real").best
    rows, partners = np.arange(len(holdout.keys)), best.positions[:, 0]
    nearest = nearest_pictures(holdout, real, finder.detector)
    for other in (nearest, equal_pictures(holdout, real)):
        partners = np.where(other >= 0, other, partners)
    scores = np.where(nearest >= 0, np.inf, best.logits[:, 0])
    copies = finder.copies(holdout, rows, real, partners, scores)
    looks = np.full((len(rows), len(WAYS)), -1.0)
    if looked:
        looks = finder.best_looks(holdout, rows, real, best.positions)
    names = holdout.manifest.table["identity"]
    gone = copies | names.isin(set(names[copies]) - {""}).to_numpy()
    if gone.all():
        raise LCMemError(
            f"all {len(rows)} holdout pictures, or others of their identities, are in the real set; choose others, or "
            "leave the holdout out"
        )
    twins = twin_table(IN_HOLDOUT, holdout, rows[copies], real, partners[copies])
    kept = np.flatnonzero(~gone)
    groups = pd.factorize(pd.Series(holdout.manifest.identities))[0]
    if not holdout.manifest.labelled:
        groups = copy_groups(holdout, finder)
    marks = pd.Series(holdout.keys).groupby(groups).transform("min").to_numpy(dtype=object)
    return Control(best.logits[kept, 0], groups[kept], marks[kept], looks[kept], twins)


def shared_files(synthetic: FeatureSet, real: FeatureSet) -> tuple[np.ndarray, pd.DataFrame]:
    """Positions of real pictures that are files of the synthetic set, and their table."""
    equal = set(synthetic.keys) & set(real.keys)
    files = {
        os.path.realpath(path): at
        for at, (path, key) in enumerate(zip(synthetic.manifest.paths, synthetic.keys, strict=True))
        if key in equal
    }
    pairs = [
        (at, files[os.path.realpath(path)])
        for at, (path, key) in enumerate(zip(real.manifest.paths, real.keys, strict=True))
        if key in equal and os.path.realpath(path) in files
    ]
    positions = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return positions[:, 0], twin_table(IN_BOTH, synthetic, positions[:, 1], real, positions[:, 0])


def twin_table(kind: str, first: FeatureSet, one: np.ndarray, second: FeatureSet, two: np.ndarray) -> pd.DataFrame:
    """Rows ``kind, path, identity, other, other_identity`` of the pairs (one[i], two[i])."""
    mine, theirs = first.manifest.table.iloc[one], second.manifest.table.iloc[two]
    columns = (mine["path"], mine["identity"], theirs["path"], theirs["identity"])
    return pd.DataFrame({"kind": kind, **dict(zip(TWINS[1:], (each.to_numpy() for each in columns), strict=True))})
