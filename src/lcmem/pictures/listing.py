"""What a folder, a zip file, a CSV or a Parquet file lists: rows of path, identity, split and dataset."""

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import read_table
from lcmem.pictures.paths import DICOM_SUFFIXES, HEAD, is_picture

COLUMNS = ["path", "identity", "split", "dataset"]
SPLITS = ("train", "val", "test")
SUFFIXES = DICOM_SUFFIXES.union(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".pnm", ".gif"),
    (".avif", ".jp2"),
)
"""Files that claim to be pictures; if they cannot be read, they are skipped with a reason instead of not counted."""

Found: TypeAlias = tuple[str, tuple[str, ...]]
"""Absolute path of a picture, and the folders that it is in."""


@dataclass
class Listing:
    """What a folder or zip file holds.

    Attributes:
        pictures: Those that can be read, by their first bytes, whatever their suffix; or that claim to be pictures.
        ignored: How many other files there are, by suffix in lower case.
    """

    pictures: list[Found] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, path: str, name: str, inner: tuple[str, ...], head: Callable[[], bytes]) -> None:
        """Take a file in: an empty or damaged one of a picture's suffix too, which is then skipped with a reason."""
        file = PurePosixPath(name)
        if file.name.startswith(".") or file.name == "DICOMDIR":
            return
        if file.suffix.lower() in SUFFIXES or is_picture(head()):
            self.pictures.append((path, inner))
        else:
            self.ignored[file.suffix.lower() or "no suffix"] += 1


def list_folder(root: Path) -> Listing:
    """Every picture below a folder, in a stable order; linked folders are followed, each real folder once.

    Raises:
        LCMemError: A file name is not UTF-8.
    """
    listing, seen = Listing(), {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(os.path.join(folder, name), seen)]
        inner = Path(folder).relative_to(root).parts
        for name in sorted(files):
            path = os.path.join(folder, name)
            try:
                path.encode()
            except UnicodeEncodeError:
                raise LCMemError(f"{os.fsencode(path)!r}: a file name that is not UTF-8; rename it") from None
            listing.add(os.path.abspath(path), name, inner, partial(_file_head, path))
    return listing


def _is_new(folder: str, seen: set[str]) -> bool:
    """Whether a sub-folder was not walked yet: a link to a folder above it would never end."""
    real = os.path.realpath(folder)
    new = real not in seen
    seen.add(real)
    return new


def list_zip(archive: Path) -> Listing:
    """The same of a zip file.

    Raises:
        LCMemError: It is not a zip file.
    """
    listing = Listing()
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in sorted(opened.namelist()):
                if not name.endswith("/"):
                    path = f"{os.path.abspath(archive)}/{name}"
                    listing.add(path, name, Path(name).parts[:-1], partial(_member_head, opened, name))
    except zipfile.BadZipFile as error:
        raise LCMemError(f"{archive}: not a zip file ({error})") from error
    return listing


def _file_head(path: str) -> bytes:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""
    with open(path, "rb") as stream:
        return stream.read(HEAD)


def _member_head(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as stream:
            return stream.read(HEAD)
    except (RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile, EOFError):
        return b""  # encrypted, packed by a method that Python lacks, or damaged: reading says so, by its suffix


def table_of(found: Iterable[Found], dataset: str) -> pd.DataFrame:
    """Split and identity from the names of folders: that of a split, and the innermost one."""
    rows = []
    for path, folders in found:
        split = next((folder for folder in folders if folder in SPLITS), "")
        identity = folders[-1] if folders and folders[-1] not in (*SPLITS, "_") else ""
        rows.append((path, identity, split, dataset))
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    if table["identity"].nunique() == 1:  # one folder of pictures inside another says nothing about whose they are
        table["identity"] = ""
    return table


def read_listing(path: Path, identity_column: str) -> pd.DataFrame:
    """A CSV or Parquet file, its further columns kept.

    Raises:
        LCMemError: It can't be read, or a column is missing.
    """
    table = read_table(path, {"path", identity_column} - {"identity"})
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


def match_identities(paths: Iterable[str], pattern: str) -> list[str]:
    """What a regular expression (its first group, if it has one) finds in each path; "" where it does not fit.

    Raises:
        LCMemError: It is none, or fits nowhere.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LCMemError(f"identity pattern {pattern!r} is not a regular expression: {error}") from error
    matches = [compiled.search(path) for path in paths]
    if not any(matches):
        raise LCMemError(f"identity pattern {pattern!r} fits none of the {len(matches)} paths")
    return ["" if match is None else match.group(1 if compiled.groups else 0) or "" for match in matches]
