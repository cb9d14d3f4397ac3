"""Scores for a table of pairs."""

from pathlib import Path

import numpy as np

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.matching.compare import probabilities, score_pairs
from lcmem.matching.features import extract_features
from lcmem.pairs import read_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.set_depth import with_bits


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
    found = extract_features(Manifest.of(dict.fromkeys(named.values())), detector, None, workers=workers)
    row = {path: position for position, path in enumerate(found.manifest.paths)}
    a, b = (np.array([row.get(named[path], -1) for path in end], dtype=int) for end in listed.paths.T)
    usable = np.flatnonzero((a >= 0) & (b >= 0))
    if not len(usable):
        raise LCMemError(
            f"{source}: no pair can be scored, for example {found.skipped[0][1]}; for a list with other paths, such as "
            "lcmem benchmark reid writes, name the manifest of the pictures: --data MANIFEST"
        )
    scores = np.full(len(listed.table), np.nan)
    scores[usable] = score_pairs(found.blocks, a[usable], found.blocks, b[usable], detector)
    values = (scores, probabilities(scores, detector))
    write_table(listed.table.assign(**dict(zip(names, values, strict=False))), target)
    return len(usable), found.skipped
