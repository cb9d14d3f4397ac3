"""How alike pictures of a real set are to those of its other people, by their scores and by their looks."""

from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcmem.matching.chance import OwnMatches, distinct_pictures, match_others, merge, reconcile
from lcmem.matching.compare import compare
from lcmem.matching.correlations import RANKS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.look_levels import BLIND, UNMEASURED, Look, measure_look
from lcmem.matching.twins import TWO_IDENTITIES, twin_table
from lcmem.stats.chance import CONFIDENCE, Chance, parted

LOOKED = 500
"""Chance matches of the real set whose thumbnails are compared, at most."""


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
        if not finder.copy_levels.can_look:
            return BLIND
        if not len(rows):
            return UNMEASURED
        known = {"query_identities": identities[rows], "gallery_identities": identities, "title": "chance looks"}
        queries, k = real.blocks.take(rows), min(RANKS, len(identities))
        best = compare(queries, real, finder.detector, k=k, **known).different
        assert best is not None
        looks = finder.looker(real).highest(real.paths_of(rows), best.positions, (identities[rows], identities))
        chance = replace(self.chance, scores=self.matches.scores[rows], clusters=identities[rows])
        kinds = real.kinds[self.matches.partners[rows]] if self.chance.parts else None
        return measure_look(looks, chance, confidence, kinds)


def real_chance(real: FeatureSet, finder: CopyFinder, listed: np.ndarray | None = None) -> OwnChance:
    """Chance matches of the real set's own pictures.

    Args:
        real: N pictures.
        finder: Tells copies from look-alikes.
        listed: Positions of those that are files of the synthetic set: nobody knows whom these show.
    """
    identities = _identities(real)
    if listed is not None and len(listed) < len(identities):
        identities[listed] = -1
    twins = twin_table(TWO_IDENTITIES, real, np.empty(0, int), real, np.empty(0, int))
    if identities.max() > 0:
        own = match_others(real, identities, finder, reconcile)
        twins = twin_table(TWO_IDENTITIES, real, own.copies[:, 0], real, own.copies[:, 1])
        twins = twins[(twins["identity"] != "") & (twins["other_identity"] != "")].reset_index(drop=True)
        if own.identities.max() > 0:
            return OwnChance(_chance(own, real, finder), "identities", twins, None, own)
    own = match_others(real, np.arange(len(identities)), finder, merge)
    return OwnChance(_chance(own, real, finder), "copy groups", twins, own.identities, own)


def _identities(real: FeatureSet) -> np.ndarray:
    """Numbers of the identities, ``[N]``; −1 where unknown. Where only some datasets of a set have identities, each
    picture of the others counts as one, as it would if these were audited alone."""
    names = real.manifest.table["identity"].astype(object)
    own = pd.Series(np.arange(len(names)), index=names.index)
    return pd.factorize(names.where(names != "", None).mask(real.bare, own))[0].astype(np.int64)


def _chance(own: OwnMatches, real: FeatureSet, finder: CopyFinder) -> Chance:
    known, kinds = own.identities >= 0, real.kinds
    distinct = np.arange(len(known)) if known.all() else distinct_pictures(real, own.identities, finder)
    table = pd.DataFrame({"known": known, "kind": kinds, "picture": distinct})
    growths = {str(kind): _growth(part) for kind, part in table.groupby("kind")}
    chance = Chance(own.scores[known], own.identities[known], mutual=True, growth=_growth(table))
    return parted(chance, kinds[own.partners[known]], kinds[known], growths)


def _growth(table: pd.DataFrame) -> float:
    """How many times more pictures there are than those of known identities, all of them or distinct ones."""
    known = table[table["known"]]
    if not len(known):
        return inf
    return max(len(table) / len(known), table["picture"].nunique() / known["picture"].nunique())
