"""Groups of pictures within one set that show the same identity or are copies of each other."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.jobs.compare import compare, highest_score, score_pairs
from lcmem.jobs.groups import connected_components
from lcmem.pictures.content import linked_to
from lcmem.pictures.manifest import Manifest
from lcmem.scan import ChunkedRows
from lcmem.stats.calibration import DEFAULT_RATE, calibrate_tail, random_pairs


@dataclass(frozen=True)
class Duplicates:
    """What was found.

    Attributes:
        table: ``group, path, identity, best_logit, link_to`` of every picture that is in a group; groups are numbered
            from 1, the strongest first, ``best_logit`` is that with any other picture of the group, ``link_to`` is
            the path above it that is the same file on the disk, if there is one.
        threshold: Score from which two pictures are taken together.
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
    manifest: Manifest, features: ChunkedRows, detector: Detector, threshold: float | None = None
) -> Duplicates:
    """Compare every picture with every other, and join those that are connected by pairs above a threshold.

    Args:
        manifest: N pictures.
        features: ``[N, D]``.
        detector: What made the features.
        threshold: Score (a logit where the detector has a head); None takes :func:`duplicate_threshold`.

    Raises:
        LCMemError: Too few pictures for a threshold.
    """
    level = duplicate_threshold(manifest, features, detector) if threshold is None else threshold
    pairs = compare(features, None, detector, threshold=level, title="comparing").matches()
    component = connected_components(pairs[["query", "gallery"]].to_numpy(), len(features))
    best = np.full(len(features), -np.inf)
    for end in ("query", "gallery"):
        np.maximum.at(best, pairs[end].to_numpy(), pairs["logit"].to_numpy())
    table = manifest.table[["path", "identity"]].assign(component=component, best_logit=best)
    table = table[best > -np.inf]
    strongest = table.groupby("component")["best_logit"].transform("max")
    order = np.lexsort((table.index, table["component"], -strongest))
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "group", pd.factorize(table.pop("component"))[0] + 1)
    table["link_to"] = linked_to(table["path"])
    return Duplicates(table, level)


def duplicate_threshold(manifest: Manifest, features: ChunkedRows, detector: Detector) -> float:
    """The score that at most 1 % of pictures are expected to reach with any unrelated picture of the set.

    As in an audit without a holdout it is extrapolated from random pairs (:func:`lcmem.stats.calibration.
    calibrate_tail`), here of different identities where these are known. The best matches of other identities
    themselves, which an audit takes, are no measure here: copies under two names are what is looked for.

    Raises:
        LCMemError: Fewer than three identities or pictures.
    """
    identities = pd.factorize(pd.Series(manifest.identities))[0]
    if len(set(identities)) < 3:
        raise LCMemError("fewer than 3 identities are too few to find a threshold with; give --threshold")
    logits = score_pairs(features, *random_pairs(identities), detector)
    return calibrate_tail(logits, highest_score(features, detector), len(features), DEFAULT_RATE).logit
