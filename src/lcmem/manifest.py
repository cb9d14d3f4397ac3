"""Which pictures, whose, which split: a folder, a zip file, a CSV or a Parquet file becomes a Manifest."""

import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias, Union

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.images import SUFFIXES, is_dicom

COLUMNS = ["path", "identity", "split", "dataset"]
SPLITS = ("train", "val", "test")

ManifestLike: TypeAlias = Union[str, os.PathLike[str], "Manifest"]


@dataclass(frozen=True)
class Manifest:
    """A table of pictures.

    Attributes:
        table: One row for each picture, with the columns ``path`` (absolute, ``archive.zip/member`` or
            ``file#slice=57``, as :func:`lcmem.images.load_picture` takes it), ``identity`` ("" where it is not known:
            the picture then stands for itself), ``split`` ("" or train, val, test) and ``dataset`` ("" or a name), all
            strings, and any further columns of the file it was read from.
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        repeated = self.table["path"][self.table["path"].duplicated()]
        if len(repeated):
            raise LCMemError(f"{len(repeated)} pictures are listed more than once, for example {repeated.iloc[0]}")

    @classmethod
    def read(
        cls,
        source: ManifestLike,
        *,
        identity_pattern: str | None = None,
        identity_column: str = "identity",
        identities: bool = True,
    ) -> "Manifest":
        """Read a folder (recursively), a zip file of pictures, or a CSV or Parquet file with a column ``path``.

        DICOM files are found without a suffix too. NIfTI volumes are not: a table, or the layout of a known data set
        (:mod:`lcmem.datasets`), says which of their slices are meant.

        In a folder, the identity of a picture is the name of the sub-folder that it lies in (unless that is a split
        such as ``train``, or the only sub-folder); pictures that lie directly in the folder stand for themselves.

        Args:
            source: The folder or file. Relative paths in a table are relative to the table's folder; where
                ``<dataset>.zip`` lies beside the table, they may be members of it. A Manifest is returned as it is.
            identity_pattern: A regular expression, searched in the path below the folder, zip file or table's folder
                (``/a/1.png``); its first group (or whole match) is the identity.
            identity_column: The column of the table that names the identity.
            identities: False ignores every identity: each picture stands for itself.

        Raises:
            LCMemError: Nothing there, no picture in it, a missing column, or a pattern that fits no picture.
        """
        if isinstance(source, Manifest):
            return source
        path = Path(source)
        if path.is_dir():
            table = _from_paths(_walk(path), path.name)
            if table.empty and (path / "manifest.csv").is_file():  # pictures in zip files beside their table
                table = _from_table(path / "manifest.csv", identity_column)
        elif not path.exists():
            raise LCMemError(f"{path}: no such file or folder")
        elif path.suffix == ".zip":
            table = _from_paths(_zip_members(path), path.stem)
        elif path.suffix in {".csv", ".parquet"}:
            table = _from_table(path, identity_column)
        else:
            raise LCMemError(f"{path}: expected a folder, a .zip of pictures, or a .csv or .parquet table")
        if table.empty:
            kinds = " ".join(sorted(SUFFIXES))
            raise LCMemError(
                f"{path}: no pictures found (looked for {kinds}; slices of NIfTI volumes are named in a table, "
                "as volume.nii.gz#slice=57)"
            )
        if identity_pattern is not None:
            root = path if path.is_dir() or path.suffix == ".zip" else path.parent
            above = os.path.abspath(root).replace(os.sep, "/")
            below = [name.replace(os.sep, "/").removeprefix(above) for name in table["path"]]
            table["identity"] = _match_identities(below, identity_pattern)
        if not identities:
            table["identity"] = ""
        return cls(table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def paths(self) -> list[str]:
        """The pictures' paths, in order."""
        return list(self.table["path"])

    @property
    def identities(self) -> list[str]:
        """One identity for each picture; a picture without one is its own identity."""
        own = "\0" + self.table["path"]  # no identity of a table can hold a NUL, so the two never meet
        return list(self.table["identity"].where(self.table["identity"] != "", own))

    @property
    def labelled(self) -> bool:
        """Whether at least one identity is known."""
        return bool((self.table["identity"] != "").any())

    def select(self, *, split: str | None = None, dataset: str | None = None) -> "Manifest":
        """The pictures of one split, one dataset, or both; None takes any.

        Raises:
            LCMemError: Nothing is left.
        """
        keep = pd.Series(True, index=self.table.index)
        for column, value in (("split", split), ("dataset", dataset)):
            if value is not None:
                keep &= self.table[column] == value
        if not keep.any():
            wanted = ", ".join(f"{name}={value!r}" for name, value in (("split", split), ("dataset", dataset)) if value)
            found = sorted(set(self.table["split"] if split else self.table["dataset"]))
            raise LCMemError(f"no pictures with {wanted} in the manifest (found: {', '.join(map(repr, found))})")
        return Manifest(self.table[keep].reset_index(drop=True))

    def rows(self, keep: Iterable[int]) -> "Manifest":
        """The pictures at these positions, in this order."""
        return Manifest(self.table.iloc[list(keep)].reset_index(drop=True))

    def with_splits(self, *, val: float = 0.1, test: float = 0.1) -> "Manifest":
        """Divide the identities into train, val and test in the order of their hashes: the same on every machine.

        Args:
            val: Share of the identities for val, at least two.
            test: Share of the identities for test, at least two.

        Raises:
            LCMemError: Too few identities to leave three for train.
        """
        identities = pd.Series(self.identities)
        order = sorted(identities.unique(), key=lambda name: hashlib.sha256(name.encode()).digest())
        if len(order) < 7:
            raise LCMemError(f"{len(order)} identities are too few to divide into train, val and test (at least 7)")
        counts = {"test": max(2, round(test * len(order))), "val": max(2, round(val * len(order)))}
        ends = counts["test"], counts["test"] + counts["val"]
        split = {name: "test" if k < ends[0] else "val" if k < ends[1] else "train" for k, name in enumerate(order)}
        return Manifest(self.table.assign(split=identities.map(split).to_numpy()))

    def check_disjoint(self) -> None:
        """Identities must not be shared between splits.

        Raises:
            LCMemError: An identity is in two splits: a model trained on one would be tested on people it has seen.
        """
        known = self.table[(self.table["identity"] != "") & (self.table["split"] != "")]
        splits = known.groupby("identity")["split"].nunique()
        shared = splits[splits > 1]
        if len(shared):
            raise LCMemError(f"{len(shared)} identities are in more than one split, for example {shared.index[0]!r}")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Save as CSV or Parquet, by the file's suffix."""
        target = Path(path)
        with replacing(target) as partial:
            if target.suffix == ".parquet":
                self.table.to_parquet(partial, index=False)
            else:
                self.table.to_csv(partial, index=False)


def _walk(root: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Path and folders below the root of every picture, in a stable order."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        inner = Path(folder).relative_to(root).parts
        for name in sorted(files):
            path = os.path.join(folder, name)
            try:
                path.encode()
            except UnicodeEncodeError:
                raise LCMemError(f"{os.fsencode(path)!r}: a file name that is not UTF-8; rename it") from None
            if _is_picture(name, partial(_file_head, path)):
                yield os.path.abspath(path), inner


def _zip_members(archive: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [
                name for name in sorted(opened.namelist()) if _is_picture(name, partial(_member_head, opened, name))
            ]
    except zipfile.BadZipFile as error:
        raise LCMemError(f"{archive}: not a zip file ({error})") from error
    for name in names:
        yield f"{os.path.abspath(archive)}/{name}", Path(name).parts[:-1]


def _is_picture(name: str, head: Callable[[], bytes]) -> bool:
    file = PurePosixPath(name)
    if file.name.startswith(".") or file.name == "DICOMDIR" or name.endswith("/"):
        return False
    nameless = not file.suffix or file.suffix[1:].isdigit()  # scanners name files by number or UID: look inside
    return file.suffix.lower() in SUFFIXES or (nameless and is_dicom(head()))


def _file_head(path: str) -> bytes:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""
    with open(path, "rb") as stream:
        return stream.read(132)


def _member_head(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(132)


def _from_paths(found: Iterable[tuple[str, tuple[str, ...]]], dataset: str) -> pd.DataFrame:
    rows = []
    for path, folders in found:
        split = next((folder for folder in folders if folder in SPLITS), "")
        identity = folders[-1] if folders and folders[-1] not in (*SPLITS, "_") else ""
        rows.append((path, identity, split, dataset))
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    if table["identity"].nunique() == 1:  # one folder of pictures inside another says nothing about whose they are
        table["identity"] = ""
    return table


def _from_table(path: Path, identity_column: str) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except Exception as error:  # pyarrow and pandas raise many kinds on damaged files
        raise LCMemError(f"{path}: not a readable table ({error})") from error
    for column in {"path", identity_column} - {"identity"}:
        if column not in table.columns:
            raise LCMemError(f"{path}: no column {column!r} (found: {', '.join(map(str, table.columns))})")
    if identity_column in table.columns:
        table["identity"] = table[identity_column]
    table = table.dropna(subset="path").reset_index(drop=True)
    for column in COLUMNS:
        table[column] = table[column].fillna("").astype(str) if column in table.columns else ""
    for column in ("identity", "split", "dataset"):  # a blank is no name
        table[column] = table[column].str.strip()
    table["path"] = _absolute(Path(os.path.abspath(path)).parent, table)
    others = [column for column in table.columns if column not in COLUMNS]
    return table[COLUMNS + others]


def _absolute(root: Path, table: pd.DataFrame) -> pd.Series:
    """Where the pictures of a table are: below its folder, or in the zip file of their data set beside it."""
    paths = [str(root / name) for name in table["path"]]
    for dataset, rows in table.groupby("dataset").indices.items():
        if (root / f"{dataset}.zip").is_file() and not os.path.exists(paths[rows[0]]):
            for row in rows:
                paths[row] = f"{root}/{dataset}.zip/{table['path'].iloc[row]}"
    return pd.Series(paths, index=table.index, dtype=str)


def _match_identities(paths: Iterable[str], pattern: str) -> list[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LCMemError(f"identity pattern {pattern!r} is not a regular expression: {error}") from error
    matches = [compiled.search(path) for path in paths]
    if not any(matches):
        raise LCMemError(f"identity pattern {pattern!r} fits none of the {len(matches)} paths")
    return ["" if match is None else match.group(1 if compiled.groups else 0) or "" for match in matches]
