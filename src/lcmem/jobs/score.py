"""Scores for a table of pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.files import replacing
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
    table = read_pairs(source)
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
    scored = table.assign(logit=logits, probability=expit(logits))
    with replacing(target) as partial:
        if target.suffix == ".parquet":
            scored.to_parquet(partial, index=False)
        else:
            scored.to_csv(partial, index=False)
    return len(usable), found.skipped


def read_pairs(source: Path) -> pd.DataFrame:
    """The table of pairs, as it is.

    Raises:
        LCMemError: It is missing or damaged, or lacks ``path_a`` or ``path_b``.
    """
    if not source.is_file():
        raise LCMemError(f"{source}: no such file")
    try:
        table = pd.read_parquet(source) if source.suffix == ".parquet" else pd.read_csv(source, dtype=str)
    except Exception as error:
        raise LCMemError(f"{source}: not a readable table ({error})") from error
    for column in ("path_a", "path_b"):
        if column not in table.columns:
            raise LCMemError(f"{source}: no column {column!r} (found: {', '.join(map(str, table.columns))})")
    return table
