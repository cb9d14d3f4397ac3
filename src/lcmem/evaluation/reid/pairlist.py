"""Lists of pairs on disk: written so that they are the same on every machine, and read again."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.datasets.layout import read_csv
from lcmem.datasets.lfw import read_lfw_pairs
from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.pairs import Pairs
from lcmem.pictures.manifest import Manifest


def write_pairs(manifest: Manifest, pairs: Pairs, target: Path) -> None:
    """``dataset, path_a, path_b, same`` and, if there are folds, ``fold``; without the folder common to all paths."""
    common = os.path.commonpath([os.path.dirname(path) for path in manifest.paths])
    paths = np.array([os.path.relpath(path, common).replace(os.sep, "/") for path in manifest.paths], dtype=object)
    datasets = manifest.table["dataset"].to_numpy()[pairs.first]
    table = pd.DataFrame(
        {"dataset": datasets, "path_a": paths[pairs.first], "path_b": paths[pairs.second], "same": pairs.same}
    )
    if pairs.fold is not None:
        table["fold"] = pairs.fold
    with replacing(target) as partial:
        table.to_csv(partial, index=False)


def read_pairs(source: Path, manifest: Manifest) -> Pairs:
    """Pairs of a manifest's pictures.

    Args:
        source: LFW's official ``pairs.txt``, or a CSV with the columns ``path_a``, ``path_b``, ``same`` and, for
            cross-validation, ``fold``, such as :func:`write_pairs` writes.
        manifest: Its pictures are found by the end of their path, as much of it as the list gives.

    Raises:
        LCMemError: Not such a list, or a picture is not in the manifest, or more than one fits.
    """
    if not source.is_file():
        raise LCMemError(f"{source}: no such file")
    table = read_lfw_pairs(source) if source.suffix == ".txt" else _read_csv(source)
    if table.empty:
        raise LCMemError(f"{source}: no pairs in it")
    ends = [np.array(_positions(source, table[column], manifest), dtype=np.int64) for column in ("path_a", "path_b")]
    fold = table["fold"].to_numpy() if "fold" in table else None
    return Pairs(ends[0], ends[1], table["same"].to_numpy(dtype=bool), fold)


def _read_csv(source: Path) -> pd.DataFrame:
    table = read_csv(source, {"path_a", "path_b", "same"})
    known = {"true": True, "1": True, "false": False, "0": False}
    same = table["same"].str.lower().map(known)
    if same.isna().any():
        raise LCMemError(f"{source}: same is {table['same'][same.isna()].iloc[0]!r}, not True or False")
    return table.assign(same=same.astype(bool))


def _positions(source: Path, names: Iterable[str], manifest: Manifest) -> list[int]:
    by_file: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for position, path in enumerate(manifest.paths):
        path = "/" + path.replace(os.sep, "/").lstrip("/")
        by_file[path.rpartition("/")[2]].append((path, position))
    found: list[int] = []
    missing: list[str] = []
    for name in names:
        end = "/" + name.replace(os.sep, "/").lstrip("/")
        fitting = [position for path, position in by_file[end.rpartition("/")[2]] if path.endswith(end)]
        if len(fitting) > 1:
            raise LCMemError(f"{source}: {len(fitting)} pictures of the manifest end with {name}")
        found += fitting
        missing += [] if fitting else [name]
    if missing:
        raise LCMemError(
            f"{source}: {len(missing)} pictures are not in the manifest, or unreadable, such as {missing[0]}"
        )
    return found
