"""Pictures to features, through the atlas: what an earlier run finished is not done again."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.card import is_atlas
from lcmem.atlas.fill import Filling, fill_atlas
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.progress import progress_bar
from lcmem.scan.chunked import ChunkedRows


@dataclass(frozen=True)
class FeatureSet:
    """Features of the pictures of a manifest that could be read.

    Attributes:
        manifest: These pictures.
        blocks: Features ``[N, D]`` float32, in the manifest's order; those of an atlas lie on the disk.
        skipped: Path and reason for each picture that could not be read.
        encoded: How many were encoded in this run; the others came from the atlas.
        seconds: What this run spent on encoding.
    """

    manifest: Manifest
    blocks: ChunkedRows
    skipped: list[tuple[str, str]]
    encoded: int
    seconds: float

    @property
    def features(self) -> Tensor:
        """``[N, D]`` in memory."""
        values = self.blocks[:]
        return torch.from_numpy(values if values.flags.writeable else values.copy())


def read_source(source: ManifestLike | Atlas) -> Manifest | Atlas:
    """Pictures, or an atlas where the folder is one; see :meth:`lcmem.pictures.manifest.Manifest.read`.

    Raises:
        LCMemError: Neither, an atlas without pictures, or one that holds whatever an audit was given.
    """
    if isinstance(source, Atlas) or is_atlas(source):
        atlas = source if isinstance(source, Atlas) else Atlas.open(source)  # type: ignore[arg-type]
        atlas.card.check_set(atlas.folder)
        if not len(atlas):
            raise LCMemError(f"{atlas.folder}: the atlas holds no pictures; lcmem index adds some")
        return atlas
    return Manifest.read(source)


def extract_features(
    source: Manifest | Atlas,
    detector: Detector,
    atlas: Atlas | None,
    *,
    title: str = "encoding",
    workers: int | None = None,
) -> FeatureSet:
    """Features of every picture.

    Args:
        source: The pictures; or an atlas, whose features are taken as they are, whether its pictures are here or not.
        detector: The model.
        atlas: Where to look first and to store; None stores nothing.
        title: Of the progress bar.
        workers: Decoding processes.

    Raises:
        LCMemError: An atlas of another model, or with a damaged shard.
    """
    if isinstance(source, Atlas):
        source.check(detector)
        return FeatureSet(source.manifest, ChunkedRows(source.blocks(), source.folder), [], 0, 0.0)
    if atlas is None:
        return _encode(source, detector, title, workers)
    return gather(source, atlas, fill_atlas(source, detector, atlas, title=title, workers=workers))


def gather(manifest: Manifest, atlas: Atlas, done: Filling) -> FeatureSet:
    """Features of the pictures that an atlas was filled with."""
    rows = atlas.find(done.contents["sha256"].iloc[done.stored])
    features = ChunkedRows(atlas.features(rows))
    return FeatureSet(manifest.rows(done.stored), features, done.skipped, done.encoded, done.seconds)


def _encode(manifest: Manifest, detector: Detector, title: str, workers: int | None) -> FeatureSet:
    paths, began = manifest.paths, time.perf_counter()
    features = np.zeros((len(paths), detector.dims), dtype=np.float32)
    kept: list[int] = []
    skipped: list[tuple[str, str]] = []
    with progress_bar(title, len(paths)) as advance:
        for batch, values in detector.stream(paths, workers=workers):
            features[batch.indices] = values.numpy()
            kept += batch.indices
            skipped += [(paths[at], reason) for at, reason in batch.failures]
            advance(len(batch.indices) + len(batch.failures))
    seconds = time.perf_counter() - began
    return FeatureSet(manifest.rows(kept), ChunkedRows(features[kept]), skipped, len(kept), seconds)
