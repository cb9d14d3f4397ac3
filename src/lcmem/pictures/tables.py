"""Tables of pictures as people have them: what a CSV or Parquet file says about path, identity, split and dataset."""

import os
import re
import unicodedata
import warnings
from pathlib import Path, PureWindowsPath
from typing import Any

import pandas as pd

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.files import read_table
from lcmem.pictures.paths import split_slice, split_zip

COLUMNS = ["path", "identity", "split", "dataset"]
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".parquet")
"""Suffixes of tables, in lower case."""


def read_listing(path: Path, identity_column: str, root: Path | None = None) -> pd.DataFrame:
    """A CSV, TSV or Parquet file, its further columns kept.

    Cells are text as written: ``NA`` is a name, ``007`` keeps its zeros, a whole number of a Parquet file is ``1`` and
    not ``1.0``. Names are compared in Unicode's composed form (NFC).

    Args:
        path: The file.
        identity_column: The column that names the identity.
        root: What its relative paths are relative to; by default its own folder.

    Raises:
        LCMemError: It can't be read, a column is missing, none of its pictures is there, or one has two identities.
    """
    table = read_table(path, {"path", identity_column} - {"identity"}, skipinitialspace=True)
    if identity_column in table.columns:
        table["identity"] = table[identity_column]
    for column in COLUMNS:  # a blank is no name
        table[column] = as_text(table[column]).str.strip() if column in table.columns else ""
    bare = int((table["path"] == "").sum())
    if bare:
        warnings.warn(f"{path}: {bare} rows name no picture and are left out", LCMemWarning, stacklevel=4)
    table = table[table["path"] != ""].reset_index(drop=True)
    for column in COLUMNS[1:]:
        table[column] = composed(table[column])
    base = Path(os.path.abspath(path)).parent if root is None else Path(os.path.abspath(root))
    table["path"] = _absolute(base, table)
    table = once(table, path)
    _check_present(table["path"], path)
    return table[COLUMNS + [column for column in table.columns if column not in COLUMNS]]


def as_text(column: pd.Series) -> pd.Series:
    """Every value as a person would write it: whole numbers without a point, "" where there is none."""
    if isinstance(column.dtype, pd.StringDtype):
        return column.fillna("").astype(str)
    return column.astype(object).where(column.notna(), "").map(_as_text)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def composed(names: pd.Series) -> pd.Series:
    """Names in NFC: the same letter is one or two characters, as file system and keyboard please."""
    return names.map(lambda name: unicodedata.normalize("NFC", name)).astype(str)


def _absolute(root: Path, table: pd.DataFrame) -> pd.Series:
    """Where the pictures of a table are: below a folder, or in the zip file of their data set in it."""
    names = [_local(root, name) for name in table["path"]]
    paths = [plain(str(root / name)) for name in names]
    for dataset, rows in table.groupby("dataset").indices.items():
        if (root / f"{dataset}.zip").is_file() and not os.path.exists(paths[rows[0]]):
            for row in rows:
                paths[row] = f"{root}/{dataset}.zip/{names[row]}"
    return pd.Series(paths, index=table.index, dtype=str)


def plain(path: str) -> str:
    """A path without ``..``, so that a picture has one name, unless a linked folder makes it another place."""
    if ".." not in path:
        return path
    plain = os.path.normpath(path)
    return plain if _exists(plain) or not _exists(path) else path


def _local(root: Path, name: str) -> str:
    """A name as this system spells it: tables come from systems with other separators and other compositions."""
    if (name.isascii() and "\\" not in name) or _exists(str(root / name)):
        return name
    if "\\" in name and not PureWindowsPath(name).drive:
        name = name.replace("\\", "/")
    forms = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    return next((form for form in forms if _exists(str(root / form))), name)


def _exists(path: str) -> bool:
    file, _ = split_slice(path)
    return os.path.exists(split_zip(file)[0] or file)


def _check_present(paths: pd.Series, source: Path) -> None:
    """One message for all pictures, if the table speaks of another place.

    Raises:
        LCMemError: None of the pictures is there.
    """
    if len(paths) and not any(map(_exists, paths)):
        windows = " (a path of another system: list relative ones)" if re.search(r"[A-Za-z]:\\", paths.iloc[0]) else ""
        raise LCMemError(
            f"{source}: none of the {len(paths)} listed pictures is there, for example {paths.iloc[0]}{windows}; "
            "relative paths start at the table's folder, or where --root FOLDER says"
        )


def once(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Each picture once, in the first of its datasets; rows that only repeat another are dropped with a warning.

    Raises:
        LCMemError: Rows of one picture contradict each other.
    """
    repeated = table.duplicated("path")
    if not repeated.any():
        return table
    distinct = table.drop_duplicates(["path", "identity", "split"])
    contradicting = distinct[distinct.duplicated("path", keep=False)]
    if len(contradicting):
        path = contradicting["path"].iloc[0]
        said = contradicting[contradicting["path"] == path]
        named = "; ".join(_said(row) for row in said[["identity", "split"]].to_dict("records"))
        raise LCMemError(f"{source}: {path} is listed more than once and not alike ({named}); keep one of the rows")
    count, example = int(repeated.sum()), table["path"][repeated].iloc[0]
    several = table.drop_duplicates(["path", "dataset"]).duplicated("path").any()
    where = ", in the dataset that its first row names" if several else ""
    warnings.warn(
        f"{source}: {count} rows list a picture again, for example {example}; each is used once{where}",
        LCMemWarning,
        stacklevel=4,
    )
    return table[~repeated].reset_index(drop=True)


def _said(row: dict[str, str]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in row.items())
