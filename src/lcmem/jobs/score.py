"""Scores for a table of pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.files import read_table, write_table
from lcmem.jobs.features import extract_features
from lcmem.pictures.manifest import Manifest

CHUNK = 4096


def score_table(
    source: Path, detector: LCMem, target: Path, *, workers: int | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Add ``logit`` and ``probability`` to a table with the columns ``path_a`` and ``path_b``.

    Args:
        source: CSV or Parquet; relative paths are relative to its folder.
        detector: The model.
        target: CSV or Parquet to write. All other columns are kept; pairs with an unreadable picture get NaN.
        workers: Decoding processes.

    Returns:
        How many pairs got a score, and path and reason of each picture that could not be read.

    Raises:
        LCMemError: The table is missing or damaged, or lacks a column.
    """
    table = read_table(source, {"path_a", "path_b"})
    root = source.absolute().parent
    ends = [[str(root / str(path)) for path in table[column]] for column in ("path_a", "path_b")]
    unique = sorted(set(ends[0]) | set(ends[1]))
    manifest = Manifest(pd.DataFrame({"path": unique, "identity": "", "split": "", "dataset": ""}))
    found = extract_features(manifest, detector, None, workers=workers)
    row = {path: position for position, path in enumerate(found.manifest.paths)}
    a, b = (np.array([row.get(path, -1) for path in end], dtype=int) for end in ends)
    usable = np.flatnonzero((a >= 0) & (b >= 0))
    logits = np.full(len(table), np.nan)
    for start in range(0, len(usable), CHUNK):
        part = usable[start : start + CHUNK]
        logits[part] = detector.logits(
            found.features[torch.from_numpy(a[part])], found.features[torch.from_numpy(b[part])]
        )
    scored = table.assign(logit=logits, probability=1 / (1 + np.exp(-logits)))
    write_table(scored, target)
    return len(usable), found.skipped
