"""The verdicts of an audit: which synthetic picture is a copy of which real one, or shows its identity."""

import numpy as np
import pandas as pd
import torch

from lcmem.detectors.base import Detector
from lcmem.matching.chance import copy_groups
from lcmem.matching.compare import compare, probabilities, score_pairs
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder, equal_content
from lcmem.matching.look_levels import Look
from lcmem.matching.looker import Looker
from lcmem.matching.overview import Nearest
from lcmem.matching.verdicts import COPY, NO_MATCH, SAME_IDENTITY
from lcmem.model import LinearHead
from lcmem.pictures.paths import split_slice
from lcmem.scan import Best, scan
from lcmem.stats.calibration import Calibration
from lcmem.stats.groups import connected_components

OTHERS = 3
"""Real pictures that may have to be among the best matches of a picture for other reasons than its scores."""


def best_matches(synthetic: FeatureSet, real: FeatureSet, detector: Detector, k: int, alike: np.ndarray) -> Best:
    """The k best real pictures of each synthetic one; one of equal content is always among them.

    A linear head may score a picture with itself below others, so the nearest picture is then looked for as well.

    Args:
        synthetic: Q pictures.
        real: The real set.
        detector: The model.
        k: How many; the last :data:`OTHERS` may give way to others that are wanted.
        alike: Positions of real pictures that are to be among them as well, ``[Q]``; −1 for none.
    """
    best = compare(synthetic, real, detector, k=k, title="synthetic × real").best
    others = (alike, nearest_pictures(synthetic, real, detector), equal_pictures(synthetic, real))
    for place, wanted in enumerate(others, 1):
        best = _including(best, wanted, place, synthetic, real, detector)
    return best


def nearest_kinds(best: Best, real: FeatureSet) -> np.ndarray:
    """Dataset ``[Q]`` of the real picture with the highest score of each synthetic one."""
    kinds: np.ndarray = real.kinds[best.positions[np.arange(len(best.logits)), best.logits.argmax(1)]]
    return kinds


def equal_pictures(queries: FeatureSet, gallery: FeatureSet) -> np.ndarray:
    """Position of the first gallery picture whose content equals that of each query ``[Q]``; −1 where there is none."""
    first = pd.Series(np.arange(len(gallery.keys)), index=gallery.keys)
    return first[~first.index.duplicated()].reindex(queries.keys, fill_value=-1).to_numpy()


def nearest_pictures(queries: FeatureSet, gallery: FeatureSet, detector: Detector) -> np.ndarray:
    """Position of the gallery picture nearest to each query ``[Q]`` where the best match need not be it; else −1."""
    head = detector.head
    if head is None or not bool((head.weight < 0).any()):
        return np.full(len(queries.blocks), -1)
    unsigned = LinearHead(len(head.weight))
    unsigned.raw_weight = torch.nn.Parameter(head.weight.detach().abs())
    return scan(queries.blocks, gallery.blocks, unsigned, title="nearest pictures").best.positions[:, 0]


def _including(
    best: Best, wanted: np.ndarray, place: int, synthetic: FeatureSet, real: FeatureSet, detector: Detector
) -> Best:
    """The lists with the wanted positions ``[Q]`` (−1: none) at this place from the end where they are missing."""
    rows = np.flatnonzero((wanted >= 0) & ~(best.positions == wanted[:, None]).any(1))
    if not len(rows):
        return best
    logits, positions = best.logits.copy(), best.positions.copy()
    logits[rows, -place] = score_pairs(synthetic.blocks, rows, real.blocks, wanted[rows], detector)
    positions[rows, -place] = wanted[rows]
    return Best(logits, positions)


def match_table(
    synthetic: FeatureSet,
    real: FeatureSet,
    best: Best,
    calibration: Calibration,
    finder: CopyFinder,
    look: Look,
    alike: Nearest,
    kinds: np.ndarray,
) -> pd.DataFrame:
    """Every synthetic picture with its best real ones and a verdict on each pair: copies, other matches, the rest.

    The best matches are looked at (:class:`Looker`; ``look`` says when they match), and so is the real picture that
    looks most ``alike`` (:mod:`lcmem.matching.overview`), unless a threshold was given, which then holds for copies
    too, but not for files that are equal. ``kinds`` are the datasets ``[Q]`` of :func:`nearest_kinds`, which name each
    one's threshold.
    """
    count, k = best.logits.shape
    query, position, score = np.repeat(np.arange(count), k), best.positions.ravel(), best.logits.ravel()
    copies = (score >= finder.copy_levels.sure) | finder.copies(synthetic, query, real, position, score)
    seen = np.zeros(len(score), dtype=bool)
    if not calibration.given:
        paths = synthetic.manifest.paths
        looks = Looker(real, finder.thumbnails).matches(look, paths, best.positions, alike)
        seen, same = (each.ravel() for each in looks)
        copies |= same
    scored = score >= calibration.thresholds(kinds).repeat(k)
    reached = scored | seen
    if calibration.given:
        copies &= reached
    equal = equal_content(synthetic, query, real, position)
    copies |= equal
    chosen = real.manifest.table.iloc[position]
    table = pd.DataFrame(
        {
            "synthetic": synthetic.manifest.table["path"].to_numpy(dtype=object)[query],
            "real": chosen["path"].to_numpy(),
            "identity": chosen["identity"].to_numpy(),
            "dataset": chosen["dataset"].to_numpy(),
            "logit": score,
            "probability": probabilities(score, finder.detector),
            "rank": 0,
            "match": copies | reached,
            "verdict": np.select([copies, reached], [COPY, SAME_IDENTITY], NO_MATCH),
            "found_by": np.select([equal, scored, seen, copies], ["content", "score", "looks", "score"], ""),
        }
    )
    table = table.iloc[np.lexsort((-score, ~(copies | reached), ~copies, query))].reset_index(drop=True)
    return table.assign(rank=np.tile(np.arange(1, k + 1), count))


def first_matches(matches: pd.DataFrame) -> pd.DataFrame:
    """The rows of the best match of each picture."""
    return matches[matches["rank"] == 1]


def match_clusters(matches: pd.DataFrame, synthetic: FeatureSet, finder: CopyFinder) -> np.ndarray:
    """Clusters ``[Q]`` of synthetic pictures that stand or fall together: copies of each other, slices or frames of one
    file, or matches of one identity."""
    best = first_matches(matches)
    shown = best["identity"].where(best["identity"] != "", "\0" + best["real"])
    files = [split_slice(path)[0] for path in synthetic.manifest.paths]
    groups, everything = copy_groups(synthetic, finder), np.ones(len(files), dtype=bool)
    groups = joined_by_match(groups, everything, pd.factorize(pd.Series(files))[0])
    return joined_by_match(groups, best["match"].to_numpy(), pd.factorize(shown)[0])


def joined_by_match(groups: np.ndarray, matched: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Join groups of copies whose pictures match one identity (or are of one file).

    Args:
        groups: Of each picture, ``[Q]`` integers in [0, Q).
        matched: Whether it matches, ``[Q]``.
        shown: Number of the identity that is its best match, ``[Q]`` (or of its file).

    Returns:
        ``[Q]`` integers.
    """
    rows = np.flatnonzero(matched)
    _, first, number = np.unique(shown[rows], return_index=True, return_inverse=True)
    pairs = np.stack((groups[rows], groups[rows[first[number]]]), 1)
    return connected_components(pairs, len(groups))[groups]
