"""Re-identification on labelled pictures (paper, section 4 and table 2); edited copies where nothing is labelled."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.augment import Augmentation
from lcmem.cache import cached_pictures
from lcmem.detectors.base import Detector
from lcmem.detectors.registry import load_detector
from lcmem.errors import LCMemError
from lcmem.loading import to_float
from lcmem.manifest import Manifest
from lcmem.metrics import auc, specificity_at_sensitivity
from lcmem.pairs import Pairs, copy_pairs, identity_pairs, split_by_dataset

SIZE = 256
"""Side in pixels at which every detector gets the pictures."""


def benchmark_reid(
    manifest: Manifest, detectors: Sequence[str], out: str | os.PathLike[str], *, seed: int = 0
) -> pd.DataFrame:
    """AUC and specificity at 99 % sensitivity of each detector on each dataset.

    Datasets with identities: all positive pairs and as many negative ones of the same dataset. Datasets without: each
    picture with an edited copy of itself (stage-2 augmentations, fixed seed), and with the copy of another picture.

    Args:
        manifest: The test pictures.
        detectors: ``mse``, ``ncc``, ``ssim``, a bundled model's name or a checkpoint's folder.
        out: Folder for ``reid.csv``, the pair list ``pairs.csv`` and the decoded pictures.
        seed: Of negatives and edits.

    Returns:
        ``dataset, task, detector, n_positive, n_negative, auc, specificity_at_99_sensitivity``.

    Raises:
        LCMemError: A dataset gives no pair at all.
    """
    folder = Path(out)
    pictures, kept, skipped = cached_pictures(manifest, SIZE, folder / "cache")
    labelled = kept.table.groupby("dataset")["identity"].transform(lambda names: (names != "").any()).to_numpy()
    parts: list[tuple[str, Manifest, np.ndarray, np.ndarray, Pairs]] = []
    if labelled.any():
        rows = np.flatnonzero(labelled)
        part = kept.rows(rows)
        parts.append(("re-identification", part, pictures[rows], pictures[rows], identity_pairs(part, seed=seed)))
    if not labelled.all():
        rows = np.flatnonzero(~labelled)
        part = kept.rows(rows)
        pairs = copy_pairs(len(part), part.table["dataset"].to_numpy(), seed)
        parts.append(("copy", part, pictures[rows], edited_copies(pictures[rows], seed), pairs))
    if not sum(len(part[-1]) for part in parts):
        raise LCMemError("no identity has two pictures: nothing to measure re-identification on")
    results: list[dict[str, Any]] = []
    for task, part, first, second, pairs in parts:
        for name in detectors:
            scores = _score(name, first, second, pairs)
            results += _rows(task, name, part, pairs, scores)
    table = pd.DataFrame(results).sort_values(["task", "dataset"], kind="stable", ascending=[False, True])
    table.to_csv(folder / "reid.csv", index=False, float_format="%.6f")
    _write_pairs(parts, folder / "pairs.csv")
    if skipped:
        (folder / "skipped.txt").write_text("\n".join(skipped) + "\n", encoding="utf-8")
    return table


def edited_copies(pictures: np.ndarray, seed: int) -> np.ndarray:
    """An edited copy of each uint8 picture ``[N, 3, H, W]``."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for start in range(0, len(pictures), 64):
        edited = Augmentation()(to_float(torch.from_numpy(pictures[start : start + 64])), generator)
        parts.append((edited * 255).round().to(torch.uint8).numpy())
    return np.concatenate(parts)


def _score(name: str, first: np.ndarray, second: np.ndarray, pairs: Pairs) -> np.ndarray:
    detector = load_detector(name)
    u = _embed(detector, first)
    v = u if second is first else _embed(detector, second)
    chunks = np.array_split(np.arange(len(pairs)), max(1, len(pairs) // 256))
    return np.concatenate([detector.similarity(u[pairs.first[at]], v[pairs.second[at]]).numpy() for at in chunks])


def _embed(detector: Detector, pictures: np.ndarray) -> torch.Tensor:
    starts = range(0, len(pictures), 64)
    return torch.cat([detector.embed(torch.from_numpy(pictures[start : start + 64].copy())) for start in starts])


def _rows(task: str, name: str, manifest: Manifest, pairs: Pairs, scores: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for dataset, at in split_by_dataset(manifest, pairs):
        same = pairs.same[at]
        rows.append(
            {
                "dataset": dataset,
                "task": task,
                "detector": name,
                "n_positive": int(same.sum()),
                "n_negative": int((~same).sum()),
                "auc": auc(scores[at], same),
                "specificity_at_99_sensitivity": specificity_at_sensitivity(scores[at], same),
            }
        )
    return rows


def _write_pairs(parts: list[tuple[str, Manifest, np.ndarray, np.ndarray, Pairs]], target: Path) -> None:
    tables = []
    for task, manifest, _, _, pairs in parts:
        paths = np.array(manifest.paths, dtype=object)
        tables.append(
            pd.DataFrame(
                {"task": task, "path_a": paths[pairs.first], "path_b": paths[pairs.second], "same": pairs.same}
            )
        )
    pd.concat(tables).to_csv(target, index=False)
