"""Pictures to features, through the atlas: what an earlier run finished is not done again."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.lcmem import LCMem
from lcmem.manifest import Manifest
from lcmem.progress import progress_bar
from lcmem.scan.atlas import Atlas

SHARD = 256
"""Pictures in a shard: at most so many are lost when a run is killed."""


@dataclass(frozen=True)
class FeatureSet:
    """Features of the pictures of a manifest that could be read.

    Attributes:
        manifest: These pictures.
        features: ``[N, D]`` float32, in the manifest's order.
        skipped: Path and reason for each picture that could not be read.
        encoded: How many were encoded in this run; the others came from the atlas.
        seconds: What this run spent on encoding.
    """

    manifest: Manifest
    features: Tensor
    skipped: list[tuple[str, str]]
    encoded: int
    seconds: float


def extract_features(
    manifest: Manifest, detector: LCMem, atlas: Atlas | None, *, title: str = "encoding", workers: int | None = None
) -> FeatureSet:
    """Features of every picture.

    Args:
        manifest: The pictures.
        detector: The model.
        atlas: Where to look first and to store; None stores nothing.
        title: Of the progress bar.
        workers: Decoding processes.
    """
    paths = manifest.paths
    if atlas is None:
        found = np.zeros(len(paths), dtype=bool)
        features = np.zeros((len(paths), len(detector.weight)), dtype=np.float32)
    else:
        found, features = atlas.lookup(paths)
    missing = np.flatnonzero(~found)
    skipped: list[tuple[str, str]] = []
    pending: list[int] = []
    began = time.perf_counter()

    def store() -> None:
        if atlas is not None:
            atlas.append([paths[row] for row in pending], features[pending])
        pending.clear()

    try:
        with progress_bar(title, len(paths), done=len(paths) - len(missing)) as advance:
            for batch, values in detector.stream([paths[row] for row in missing], workers=workers):
                rows = missing[batch.indices]
                features[rows], found[rows] = values.numpy(), True
                pending += rows.tolist()
                skipped += [(paths[missing[at]], reason) for at, reason in batch.failures]
                if len(pending) >= SHARD:
                    store()
                advance(len(batch.indices) + len(batch.failures))
    finally:  # also when interrupted: finished work stays
        store()
    kept = np.flatnonzero(found)
    seconds = time.perf_counter() - began
    return FeatureSet(
        manifest.rows(kept), torch.from_numpy(features[kept]), skipped, len(missing) - len(skipped), seconds
    )
