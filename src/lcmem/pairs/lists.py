"""Lists of pairs on disk: written so that they are the same on every machine, and read again."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.datasets.lfw import read_lfw_pairs
from lcmem.errors import LCMemError
from lcmem.files import common_folder, read_table, write_table
from lcmem.pairs.drawing import Pairs
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.paths import split_bits
from lcmem.pictures.tables import as_text, plain


def write_pairs(manifest: Manifest, pairs: Pairs, target: Path) -> None:
    """``dataset, path_a, path_b, same`` and, if there are folds, ``fold``; without the folder common to all paths."""
    common = common_folder(os.path.dirname(path) for path in manifest.paths)
    names = [os.path.relpath(path, common) if common else path for path in manifest.paths]
    paths = np.array([name.replace(os.sep, "/") for name in names], dtype=object)
    datasets = manifest.table["dataset"].to_numpy()[pairs.first]
    table = pd.DataFrame(
        {"dataset": datasets, "path_a": paths[pairs.first], "path_b": paths[pairs.second], "same": pairs.same}
    )
    if pairs.fold is not None:
        table["fold"] = pairs.fold
    write_table(table, target)


@dataclass(frozen=True)
class PairList:
    """A list of pairs and the pictures that it names.

    Attributes:
        source: The file.
        table: As it is in the file: the columns that name the pictures, and whatever else.
        paths: Where the pictures are, ``[P, 2]`` strings.
    """

    source: Path
    table: pd.DataFrame
    paths: np.ndarray

    def pairs(self, manifest: Manifest) -> Pairs:
        """Positions in the manifest that the list was read with, from the columns ``same`` and, if there, ``fold``.

        Raises:
            LCMemError: ``same`` is missing, or neither true nor false.
        """
        if "same" not in self.table:
            raise LCMemError(f"{self.source}: no column 'same' (found: {', '.join(map(str, self.table.columns))})")
        known = {"true": True, "1": True, "false": False, "0": False}
        same = self.table["same"].astype(str).str.lower().map(known)
        if same.isna().any():
            raise LCMemError(f"{self.source}: same is {self.table['same'][same.isna()].iloc[0]!r}, not True or False")
        place = {path: position for position, path in enumerate(manifest.paths)}
        ends = np.array([[place[path] for path in row] for row in self.paths], dtype=np.int64)
        fold = self.table["fold"].to_numpy() if "fold" in self.table else None
        return Pairs(ends[:, 0], ends[:, 1], same.to_numpy(dtype=bool), fold)


def read_pairs(
    source: Path, manifest: Manifest | None = None, columns: tuple[str, str] = ("path_a", "path_b")
) -> PairList:
    """Read a list of pairs.

    Args:
        source: CSV or Parquet such as :func:`write_pairs` writes, or LFW's official ``pairs.txt``.
        manifest: Its pictures are found by the end of their path, as much of it as the list gives. None: the paths of
            the list are taken as they are, relative ones from the list's folder.
        columns: Where a table names the two pictures.

    Raises:
        LCMemError: Not such a list, or a picture is not in the manifest, or more than one fits.
    """
    if not source.is_file():
        raise LCMemError(f"{source}: no such file")
    lfw = source.suffix.lower() == ".txt"
    table = read_lfw_pairs(source) if lfw else read_table(source, columns)
    if table.empty:
        raise LCMemError(f"{source}: no pairs in it")
    names = table[list(columns)].apply(lambda column: as_text(column).str.strip()).to_numpy(dtype=object)
    blank = (names == "").any(1)
    if blank.any():
        raise LCMemError(f"{source}: row {int(blank.argmax()) + 1} names one picture only; complete it or leave it out")
    if manifest is None:
        root = source.absolute().parent
        paths = [[plain(str(root / name)) for name in row] for row in names]
        return PairList(source, table, np.array(paths, dtype=object))
    found = np.array(manifest.paths, dtype=object)[_positions(source, names.ravel(), manifest)]
    return PairList(source, table, found.reshape(-1, 2))


def _positions(source: Path, names: Iterable[str], manifest: Manifest) -> list[int]:
    by_file: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for position, path in enumerate(manifest.paths):
        path = "/" + split_bits(path)[0].replace(os.sep, "/").lstrip("/")
        by_file[path.rpartition("/")[2]].append((path, position))
    found: list[int] = []
    missing: list[str] = []
    for name in names:
        end = "/" + split_bits(name)[0].replace(os.sep, "/").lstrip("/")
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
