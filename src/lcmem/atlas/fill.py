"""Filling an atlas: only pictures whose content it does not hold yet are encoded."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from torch import Tensor

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.shard import COLUMNS, SHARD_ROWS
from lcmem.detectors.base import Detector
from lcmem.pictures.content import content_table
from lcmem.pictures.loading import PictureBatch
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar

BATCH = 256
"""Pictures that are written at once: at most so many are lost when a run is killed."""


@dataclass(frozen=True)
class Filling:
    """What was done.

    Attributes:
        contents: ``path, stamp, sha256, reason`` of every picture of the manifest, in order; those with a reason could
            not be read.
        encoded: Pictures that were encoded; the others were there already, under their own or another path.
        seconds: What that took.
    """

    contents: pd.DataFrame
    encoded: int
    seconds: float

    @property
    def stored(self) -> np.ndarray:
        """Positions in the manifest of the pictures that are in the atlas now."""
        return np.flatnonzero(self.contents["reason"] == "")

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Path and reason of the others."""
        rows = self.contents[self.contents["reason"] != ""]
        return list(zip(rows["path"], rows["reason"], strict=True))


def fill_atlas(
    manifest: Manifest, detector: Detector, atlas: Atlas, *, title: str = "encoding", workers: int | None = None
) -> Filling:
    """Put every picture into the atlas, encoding those that are new or changed, each content once.

    Path, identity and dataset of the manifest replace what the atlas had for the same path.

    Args:
        manifest: The pictures.
        detector: The model.
        atlas: Where to look first and to store; of this model.
        title: Of the progress bar.
        workers: Decoding processes.
    """
    atlas.check(detector)
    return fill_from(manifest, atlas, partial(detector.stream, workers=workers), title)


def fill_from(
    manifest: Manifest, atlas: Atlas, stream: Callable[[list[str]], Iterator[tuple[PictureBatch, Tensor]]], title: str
) -> Filling:
    """The same with any function that encodes paths as :meth:`lcmem.detectors.base.Detector.stream` does."""
    began = time.perf_counter()
    contents = content_table(manifest.paths, atlas.known(manifest.paths))
    _update(manifest, contents, atlas)
    wanted = contents[contents["reason"] == ""].drop_duplicates("sha256")
    missing = wanted[atlas.find(wanted["sha256"]) < 0]
    places = contents.groupby("sha256").indices
    failures: dict[str, str] = {}
    pending = _Pending(manifest, contents, atlas)
    try:
        with progress_bar(title, len(wanted), done=len(wanted) - len(missing)) as advance:
            for batch, values in stream(list(missing["path"])):
                for at, vector in zip(batch.indices, values.float().numpy(), strict=True):
                    pending.add(places[missing["sha256"].iloc[at]], vector)
                pending.store(BATCH)
                failures |= {missing["sha256"].iloc[at]: reason for at, reason in batch.failures}
                advance(len(batch.indices) + len(batch.failures))
    finally:  # also when interrupted: finished work stays
        pending.store(1)
    reasons = zip(contents["reason"], contents["sha256"], strict=True)
    contents["reason"] = [reason or failures.get(sha256, "") for reason, sha256 in reasons]
    return Filling(contents, len(missing) - len(failures), time.perf_counter() - began)


def _update(manifest: Manifest, contents: pd.DataFrame, atlas: Atlas) -> None:
    """Store rows whose content is there, but under another path, or with another identity, dataset or stamp."""
    rows = manifest.table[["path", "identity", "dataset"]].assign(stamp=contents["stamp"], sha256=contents["sha256"])
    same = rows.merge(atlas.table, how="left", on=COLUMNS, indicator="same")["same"] == "both"
    stale = np.flatnonzero(~same & (atlas.find(contents["sha256"]) >= 0))
    for start in range(0, len(stale), SHARD_ROWS):
        part = stale[start : start + SHARD_ROWS]
        features = atlas.features(atlas.find(contents["sha256"].iloc[part]))
        atlas.append(manifest.rows(part), features, contents.iloc[part])


class _Pending:
    """Features that are not stored yet."""

    def __init__(self, manifest: Manifest, contents: pd.DataFrame, atlas: Atlas) -> None:
        self.manifest, self.contents, self.atlas = manifest, contents, atlas
        self.rows: list[int] = []
        self.features: list[np.ndarray] = []

    def add(self, rows: np.ndarray, vector: np.ndarray) -> None:
        """One feature vector for all rows of one content."""
        self.rows += rows.tolist()
        self.features += [vector] * len(rows)

    def store(self, least: int) -> None:
        """Append what there is, if it is so many."""
        if len(self.rows) >= least:
            rows, features = self.rows, np.stack(self.features)
            self.rows, self.features = [], []
            self.atlas.append(self.manifest.rows(rows), features, self.contents.iloc[rows])
