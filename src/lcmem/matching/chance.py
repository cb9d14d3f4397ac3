"""Chance matches: the best match of each picture among other identities, copies left out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.matching.compare import compare, score_pairs
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.scan import Best
from lcmem.stats.groups import connected_components

Settle = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Identities ``[N]`` and pairs of copies ``[P, 2]`` across them → identities that no pair crosses."""
UNKNOWN = -1
NEIGHBOURS = 100
"""Pictures of an identity, in the order of their paths, that one is compared with to see which are distinct."""
SHARED = 0.5
"""Two identities that share at least this part of the pictures of the smaller one are one identity twice."""


@dataclass(frozen=True)
class OwnMatches:
    """Best matches of a set's pictures among those of its other identities, none of which is a copy.

    Attributes:
        scores: ``[N]``; −∞ for pictures of unknown identity.
        partners: Positions of the best matches, ``[N]``; −1 where there is none.
        identities: ``[N]``, −1 where unknown: never known, or of a picture that is filed under several identities.
        copies: Pairs of copies that were filed under two identities ``[P, 2]``, the lower position first.
    """

    scores: np.ndarray
    partners: np.ndarray
    identities: np.ndarray
    copies: np.ndarray


def match_others(found: FeatureSet, identities: np.ndarray, finder: CopyFinder, settle: Settle) -> OwnMatches:
    """Compare a set with itself across identities, and again for pictures whose best match turns out to be a copy.

    Args:
        found: N pictures.
        identities: ``[N]`` integers, −1 where unknown.
        finder: Tells copies from look-alikes.
        settle: What becomes of identities that copies connect.
    """
    pairs = _same_content(found, identities)
    identities = settle(identities, pairs) if len(pairs) else identities
    scores, partners = np.full(len(identities), -np.inf), np.full(len(identities), -1)
    rows = np.flatnonzero(identities >= 0)
    while len(rows):
        best = _others(found, rows, identities, finder.detector)
        scores[rows], partners[rows] = best.logits[:, 0], best.positions[:, 0]
        rows = rows[partners[rows] >= 0]
        copies = finder.copies(found, rows, found, partners[rows], scores[rows])
        if not copies.any():
            break
        more = np.sort(np.stack((rows[copies], partners[rows[copies]]), 1), axis=1)
        pairs = np.unique(np.concatenate((pairs, more)), axis=0)
        identities = settle(identities, more)
        scores[identities < 0], partners[identities < 0] = -np.inf, -1
        known = np.flatnonzero(partners >= 0)
        theirs = identities[partners[known]]
        rows = known[(theirs == identities[known]) | (theirs < 0)]
    return OwnMatches(scores, partners, identities, pairs)


def _others(found: FeatureSet, rows: np.ndarray, identities: np.ndarray, detector: Detector) -> Best:
    """The best match of pictures ``rows`` of a set among those of other known identities."""
    if len(rows) == len(identities):
        result = compare(found, None, detector, query_identities=identities, title="chance matches")
    else:
        queries, known = found.blocks.take(rows), {"gallery_identities": identities, "title": "chance matches"}
        result = compare(queries, found, detector, query_identities=identities[rows], **known)
    assert result.different is not None
    return result.different


def _same_content(found: FeatureSet, identities: np.ndarray) -> np.ndarray:
    """Pairs ``[P, 2]`` of equal content under two identities: each picture with the first of another identity."""
    table = pd.DataFrame({"key": found.keys, "identity": identities, "at": np.arange(len(identities))})
    table = table[table["identity"] >= 0]
    first = table.drop_duplicates("key").merge(table, on="key", suffixes=("", "_other"))
    return first.loc[first["identity"] != first["identity_other"], ["at", "at_other"]].to_numpy(dtype=np.int64)


def merge(identities: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Identities ``[N]`` that pairs of copies ``[P, 2]`` connect become one: for groups of copies."""
    return connected_components(identities[pairs], int(identities.max()) + 1)[identities]


def reconcile(identities: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """What is known of identities that share pictures.

    A person who is filed under two names shares most pictures: both become one. A picture that two people share for
    another reason, because it is misfiled or shows nobody, is of unknown identity from now on.

    Args:
        identities: ``[N]``, −1 where unknown.
        pairs: Positions ``[P, 2]`` of copies with two known identities.
    """
    sizes = np.bincount(identities[identities >= 0], minlength=int(identities.max()) + 1)
    ends = np.concatenate((pairs, pairs[:, ::-1]))
    table = pd.DataFrame({"mine": identities[ends[:, 0]], "theirs": identities[ends[:, 1]], "at": ends[:, 0]})
    shared = table.groupby(["mine", "theirs"], as_index=False)["at"].nunique()
    same = shared[shared["at"] >= SHARED * sizes[shared["mine"]]]
    merged = connected_components(same[["mine", "theirs"]].to_numpy(), len(sizes))
    found = np.where(identities >= 0, merged[identities], UNKNOWN)
    torn = pairs[found[pairs[:, 0]] != found[pairs[:, 1]]]
    found[torn.ravel()] = UNKNOWN
    return found


def distinct_pictures(found: FeatureSet, identities: np.ndarray, finder: CopyFinder) -> np.ndarray:
    """Groups of pictures of one identity that are as alike as copies typically are, ``[N]`` integers, by their scores.

    Frames of a burst and augmented copies give a stranger hardly more chances of a match than one picture does.

    Args:
        found: N pictures.
        identities: ``[N]`` integers, −1 where unknown: such a picture is alone.
        finder: Knows what copies reach.
    """
    order, pairs = np.lexsort((found.manifest.table["path"], identities)), [np.empty((0, 2), dtype=np.int64)]
    who, joined = identities[order], np.zeros(len(order), dtype=bool)
    for apart in range(1, NEIGHBOURS + 1):
        same = np.flatnonzero((who[apart:] == who[:-apart]) & (who[apart:] >= 0))
        if not len(same):
            break
        same = same[~joined[same + apart]]  # what is as alike as an earlier one already counts no more
        one, two = order[same], order[same + apart]
        alike = score_pairs(found.blocks, one, found.blocks, two, finder.detector) >= finder.copy_levels.typical
        joined[same[alike] + apart] = True
        pairs.append(np.stack((one[alike], two[alike]), 1))
    return connected_components(np.concatenate(pairs), len(identities))


def copy_groups(found: FeatureSet, finder: CopyFinder) -> np.ndarray:
    """Groups of pictures of one set that are copies of each other, ``[N]`` integers."""
    return match_others(found, np.arange(len(found.manifest)), finder, merge).identities
