"""Groups of pictures within one set that show the same identity or are copies of each other."""

import warnings
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemWarning
from lcmem.files import write_table
from lcmem.matching.alignment import correlation
from lcmem.matching.asked import USUAL, Asked
from lcmem.matching.compare import compare, score_pairs
from lcmem.matching.copy_levels import MOST_PAIRS
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.finder import CopyFinder
from lcmem.matching.kinds import split_kinds
from lcmem.matching.overview import turned_correlation
from lcmem.matching.own_chance import real_chance
from lcmem.matching.thumbnails import SAME
from lcmem.matching.transfer import Transfer, with_finder
from lcmem.pictures.content import linked_to
from lcmem.stats.calibration import calibrate
from lcmem.stats.groups import connected_components


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        table: ``group, path, identity, best_logit, link_to`` of every picture that is in a group; groups are numbered
            from 1, the strongest first, ``best_logit`` is that with any other picture of the group, ``link_to`` is
            the path above it that is the same file on the disk, if there is one.
        threshold: Score from which two pictures are taken together; copies are below it too. +∞: only copies are.
    """

    table: pd.DataFrame
    threshold: float

    @property
    def mixed(self) -> int:
        """Groups whose pictures carry different identities: wrong labels, or chance."""
        known = self.table[self.table["identity"] != ""]
        return int((known.groupby("group")["identity"].nunique() > 1).sum())

    def write(self, path: Path) -> None:
        """Save the table as CSV or Parquet, by the file's suffix."""
        write_table(self.table, path)


def find_duplicates(
    found: FeatureSet, detector: Detector, asked: Asked = USUAL, workers: int | None = None
) -> Duplicates:
    """Compare every picture with every other, and join those that belong together.

    Without a threshold these are copies, turned by quarters as they may be, and where identities are known also
    pictures that are more alike than a share of the set's pictures (1 %) are to any of another identity by chance
    (copies left out, as in an audit).

    Args:
        found: N pictures and their features.
        detector: What made the features.
        asked: From which score on two pictures belong together, or that share; the thresholds of a calibration that
            was made before are taken for copies as well.
        workers: Decoding processes, for a look at what may be copies.

    Raises:
        LCMemError: What is asked for does not fit the detector.

    Warns:
        LCMemWarning: The calibration was made on other pictures, or on datasets of other names.
    """
    given, file = asked.given(detector), asked.calibration
    if given is not None:
        pairs, level = _alike(found, detector, given[0])
    elif file is not None:
        known, finder = with_finder(found, detector, file, workers=workers)
        transfer = Transfer.of(file, known, finder)
        for note in transfer.notes:
            warnings.warn(note, LCMemWarning, stacklevel=2)
        pairs, level = _joined(found, finder, transfer.calibration().logit)
    else:
        finder = CopyFinder.of(found, detector, workers=workers)
        pairs, level = _joined(found, finder, _identity_threshold(found, finder, asked.false_positive_rate))
    component = connected_components(pairs[["query", "gallery"]].to_numpy(), len(found.blocks))
    best = np.full(len(component), -np.inf)
    for end in ("query", "gallery"):
        np.maximum.at(best, pairs[end].to_numpy(), pairs["logit"].to_numpy())
    table = found.manifest.table[["path", "identity"]].assign(component=component, best_logit=best + 0.0)
    table = table[best > -np.inf]
    strongest = table.groupby("component")["best_logit"].transform("max")
    order = np.lexsort((table.index, table["component"], -strongest))
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "group", pd.factorize(table.pop("component"))[0] + 1)
    table["link_to"] = linked_to(table["path"])
    return Duplicates(table, level)


def _alike(found: FeatureSet, detector: Detector, level: float) -> tuple[pd.DataFrame, float]:
    return compare(found.blocks, None, detector, threshold=level, title="comparing").matches(), level


def _joined(found: FeatureSet, finder: CopyFinder, identity: float) -> tuple[pd.DataFrame, float]:
    """Pairs that reach the threshold of the same identity or are copies, and from which score on no look is needed."""
    level = min(identity, finder.copy_levels.sure)
    pairs, _ = _alike(found, finder.detector, min(level, finder.copy_levels.candidate))
    ends = (pairs[end].to_numpy() for end in ("query", "gallery"))
    scores = pairs["logit"].to_numpy()
    below = np.flatnonzero(scores < level)
    one, two = (rows[below] for rows in ends)
    kept = scores >= level
    kept[below] = finder.copies(found, one, found, two, scores[below])
    return pd.concat((pairs[kept], _turned(found, finder)), ignore_index=True), level


def _turned(found: FeatureSet, finder: CopyFinder) -> pd.DataFrame:
    """Pictures and what they look most like, where both are the same picture turned by quarters.

    Those that are the same as they are do not count: neighbouring slices are, and scores tell them from copies.
    """
    rows = np.arange(len(found.keys))
    nearest = finder.looker(found).nearest(found.manifest.paths, (rows, rows))
    one = np.flatnonzero(nearest.alike >= SAME)
    two = nearest.positions[one]
    turned, as_it_is = (
        finder.thumbnails.compared(found.paths_of(one), found.paths_of(two), by) >= SAME
        for by in (turned_correlation, correlation)
    )
    same = turned & ~as_it_is
    if same.sum() > MOST_PAIRS * len(rows):  # forms of one layout, or digits: all look alike
        same[:] = False
    one, two = one[same], two[same]
    scores = score_pairs(found.blocks, one, found.blocks, two, finder.detector)
    return pd.DataFrame({"query": one, "gallery": two, "logit": scores})


def _identity_threshold(found: FeatureSet, finder: CopyFinder, rate: float) -> float:
    """The score that this share of pictures reach with another identity by chance; +∞ where none is known."""
    if found.manifest.known_identities < 2:
        return inf
    own = real_chance(split_kinds(found, finder.detector), finder)
    if own.method != "identities":
        return inf
    return calibrate(own.chance, rate, own.method, finder.copy_levels.typical).logit
