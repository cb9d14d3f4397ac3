"""What a set of pictures is read from: a folder, a zip file, a table or one medical file becomes a table of paths."""

import os
from pathlib import Path

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.containers import PARQUET, has_pictures_only, is_container
from lcmem.pictures.listing import Listing, list_folder, list_zip, match_identities, table_of
from lcmem.pictures.medical import is_medical_file, pseudonyms
from lcmem.pictures.tables import SUFFIXES, as_text, composed, read_listing

INSIDE = "holds pictures itself; lcmem unpack {} --out FOLDER makes files of them"


def listed(path: Path, identity_column: str, root: Path | None) -> tuple[Listing, pd.DataFrame]:
    """What a source holds, and its pictures as a table with the columns of a manifest.

    Raises:
        LCMemError: Nothing is there, or it is no folder, zip file, table or medical file.
    """
    name = path.name.lower()
    if path.is_dir():
        listing = list_folder(path)
        if not listing.pictures and (path / "manifest.csv").is_file():  # pictures in zip files beside their table
            return Listing(), read_listing(path / "manifest.csv", identity_column, root)
        return listing, table_of(listing.pictures, path.name)
    if not path.exists():
        raise LCMemError(f"{path}: no such file or folder")
    if name.endswith(".zip"):
        listing = list_zip(path)
        return listing, table_of(listing.pictures, path.stem)
    if is_medical_file(str(path)):
        return Listing(), table_of([(os.path.abspath(path), ())], path.name.partition(".")[0])
    if name.endswith(PARQUET) and has_pictures_only(path):
        raise LCMemError(f"{path}: {INSIDE.format(path)}")
    if name.endswith(SUFFIXES):
        return Listing(), read_listing(path, identity_column, root)
    if is_container(path):
        raise LCMemError(f"{path}: {INSIDE.format(path)}")
    as_table = f"; of a list of paths make one with a head: (echo path; cat {path}) > list.csv"
    raise LCMemError(
        f"{path}: expected a folder, a .zip of pictures, or a table (.csv, .tsv or .parquet)"
        f"{as_table if name.endswith('.txt') else ''}"
    )


def without_ids(table: pd.DataFrame, identity_column: str) -> pd.DataFrame:
    """The table with hashes for the identities, in the column that they were read from, too."""
    columns = [column for column in ("identity", identity_column) if column in table.columns]
    return table.assign(**{column: pseudonyms(as_text(table[column])) for column in columns})


def matched(paths: pd.Series, root: Path, pattern: str) -> pd.Series:
    """Identities from the paths below a folder, in NFC like all names."""
    above = os.path.abspath(root).replace(os.sep, "/")
    below = [name.replace(os.sep, "/").removeprefix(above) for name in paths]
    return composed(pd.Series(match_identities(below, pattern), index=paths.index, dtype=str))
