"""Scores for a table of pairs."""

from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.matching.compare import probabilities, score_pairs
from lcmem.matching.features import extract_features
from lcmem.pairs import read_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.set_depth import with_bits
from lcmem.store import Store


def score_table(
    source: Path, detector: Detector, target: Path, *, data: Manifest | None = None, workers: int | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Score a table with the columns ``path_a`` and ``path_b``: add ``logit`` and ``probability``.

    A detector without a head adds ``similarity`` instead.

    Args:
        source: CSV or Parquet.
        detector: The model.
        target: CSV or Parquet to write. All other columns are kept; pairs with an unreadable picture get NaN.
        data: Where the pictures are, by the end of their paths; None takes the paths as they are, relative ones from
            the table's folder. See :func:`lcmem.pairs.read_pairs`.
        workers: Decoding processes.

    Returns:
        How many pairs got a score, and path and reason of each picture that could not be read.

    Raises:
        LCMemError: The table is missing or damaged, or lacks a column, or has one that would be replaced, or none of
            its pairs can be scored.
    """
    listed = read_pairs(source, data)
    names = ("similarity",) if detector.head is None else ("logit", "probability")
    for name in names:
        if name in listed.table:
            raise LCMemError(f"{source}: its column {name!r} would be replaced; give it another name, or leave it out")
    unique = sorted(set(listed.paths.ravel()))
    named = dict(zip(unique, with_bits(unique)[0], strict=True))
    paths = np.array([[named[path] for path in row] for row in listed.paths], dtype=object)
    hint = "; for a list with other paths, such as lcmem benchmark reid writes, name their manifest: --data MANIFEST"
    scores, skipped = score_listed(source, paths, detector, workers=workers, hint=hint)
    values = (scores, probabilities(scores, detector))
    write_table(listed.table.assign(**dict(zip(names, values, strict=False))), target)
    return int(np.isfinite(scores).sum()), skipped


def score_listed(
    source: Path,
    paths: np.ndarray,
    detector: Detector,
    store: Store | None = None,
    workers: int | None = None,
    hint: str = "",
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Scores ``[P]`` of the pairs of a list, NaN where a picture cannot be read, and path and reason of those.

    Args:
        source: The list, to be named.
        paths: Where its pictures are ``[P, 2]``, with the depth that they are read at.
        detector: The model.
        store: Where features are kept; None keeps none.
        workers: Decoding processes.
        hint: What else to say where no pair can be scored.

    Raises:
        LCMemError: None of the pairs can be scored.
    """
    unique = Manifest.of(pd.unique(paths.ravel()))
    found = extract_features(unique, detector, store, title="encoding pairs", workers=workers)
    first, second = pd.Index(found.manifest.paths).get_indexer(paths.ravel()).reshape(-1, 2).T
    usable = (first >= 0) & (second >= 0)
    if not usable.any():
        raise LCMemError(f"{source}: no pair can be scored, for example {found.skipped[0][1]}{hint}")
    scores = np.full(len(paths), np.nan)
    scores[usable] = score_pairs(found.blocks, first[usable], found.blocks, second[usable], detector)
    return scores, found.skipped
