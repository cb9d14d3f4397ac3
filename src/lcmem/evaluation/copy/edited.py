"""Edited copies of pictures without identities: what a model's card says of such datasets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.augment import Augmentation
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.evaluation.running import measure_each
from lcmem.evaluation.tables import write_csv
from lcmem.pairs import Pairs, copy_pairs, split_by_dataset
from lcmem.pictures.loading import to_float
from lcmem.pictures.manifest import Manifest
from lcmem.stats.roc import auc, specificity_at_sensitivity

CHUNK = 64


def benchmark_edited(
    manifest: Manifest, detectors: Sequence[str], out: str | os.PathLike[str], *, seed: int = 0
) -> pd.DataFrame:
    """How well detectors tell a picture's edited copy (stage-2 augmentations) from the copy of another picture.

    Args:
        manifest: Pictures; those of datasets with identities are left out.
        detectors: As :func:`lcmem.detectors.registry.load_detector` takes them.
        out: Folder for ``edited.csv`` and the decoded pictures.
        seed: Of negatives and edits.

    Returns:
        ``dataset, detector, n_positive, n_negative, auc, specificity_at_99_sensitivity, status``.

    Raises:
        LCMemError: Every dataset has identities.
    """
    folder = Path(out)
    pictures = BenchmarkPictures.read(manifest, folder / "cache")
    known = pictures.manifest.table.groupby("dataset")["identity"].transform(lambda names: (names != "").any())
    rows = np.flatnonzero(~known.to_numpy(dtype=bool))
    if not len(rows):
        raise LCMemError("every dataset has identities: measure re-identification")
    part, pixels = pictures.manifest.rows(rows), pictures.pixels[rows]
    pairs = copy_pairs(len(part), part.table["dataset"].to_numpy(), seed)
    copies = edited_copies(pixels, seed)

    def measure(detector: Detector) -> list[dict[str, Any]]:
        scores = _score(detector, pixels, copies, pairs)
        return [
            {
                "dataset": dataset,
                "n_positive": int(pairs.same[at].sum()),
                "n_negative": int((~pairs.same[at]).sum()),
                "auc": auc(scores[at], pairs.same[at]),
                "specificity_at_99_sensitivity": specificity_at_sensitivity(scores[at], pairs.same[at]),
            }
            for dataset, at in split_by_dataset(part, pairs)
        ]

    found = measure_each(detectors, sorted(part.table["dataset"].unique()), measure)
    table = pd.DataFrame(found).sort_values("dataset", kind="stable")
    table.insert(1, "detector", table.pop("detector"))
    write_csv(table, folder / "edited.csv")
    return table


def edited_copies(pictures: np.ndarray, seed: int) -> np.ndarray:
    """An edited copy of each uint8 picture ``[N, 3, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, len(pictures), CHUNK):
        edited = Augmentation()(to_float(torch.from_numpy(pictures[start : start + CHUNK])), generator)
        parts.append((edited * 255).round().to(torch.uint8).numpy())
    return np.concatenate(parts)


def _score(detector: Detector, pictures: np.ndarray, copies: np.ndarray, pairs: Pairs) -> np.ndarray:
    u, v = (
        torch.cat([detector.embed(torch.from_numpy(set_[at : at + CHUNK])) for at in range(0, len(set_), CHUNK)])
        for set_ in (pictures, copies)
    )
    parts = np.array_split(np.arange(len(pairs)), max(1, len(pairs) // 256))
    return np.concatenate([detector.similarity(u[pairs.first[at]], v[pairs.second[at]]).numpy() for at in parts])
