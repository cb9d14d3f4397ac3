"""A list of pictures becomes a manifest: splits by identity, absent pictures left out, both said."""

import warnings
from pathlib import Path

import pandas as pd

from lcmem.datasets.layout import DatasetInfo, wrong_layout
from lcmem.errors import LCMemWarning
from lcmem.pictures.listing import SPLITS
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.tables import COLUMNS


class DatasetWarning(LCMemWarning):
    """Something of a data set was left out or changed."""


def without_suffix(names: pd.Series) -> pd.Series:
    """Names of files as :func:`assemble` takes them."""
    return names.str.rsplit(".", n=1).str[0]


def join_labels(table: pd.DataFrame, labels: list[str], positive: str) -> pd.Series:
    """The names of the columns that hold ``positive``, joined by ``|``, for each row."""
    joined = pd.Series("", index=table.index, dtype=str)
    for label in labels:
        joined = joined.mask(table[label] == positive, joined + "|" + label)
    return joined.str.removeprefix("|")


def assemble(table: pd.DataFrame, pictures: pd.Series, root: Path, info: DatasetInfo) -> Manifest:
    """Listed pictures that are there become a manifest whose splits share no identity.

    Args:
        table: Columns ``file`` (name without suffix), ``identity``, ``split`` and any others to keep.
        pictures: Of :func:`index_pictures`.
        root: For messages.
        info: Of the data set.

    Raises:
        LCMemError: None of the pictures is there.
    """
    table = unite_identities(table.reset_index(drop=True), root)
    table["path"] = table["file"].map(pictures)
    absent = int(table["path"].isna().sum())
    if absent == len(table):
        example = f", for example {table['file'].iloc[0]}" if len(table) else ""
        raise wrong_layout(root, info, f"none of the {absent} listed pictures is there{example}")
    if absent:
        warn(
            f"{root}: {absent} of {len(table)} listed pictures are not there and are left out{much(absent, len(table))}"
        )
    table = table.dropna(subset="path").reset_index(drop=True)
    table["dataset"], table["terms"] = info.name, info.terms
    others = [column for column in table.columns if column not in (*COLUMNS, "file")]
    manifest = Manifest(table[[*COLUMNS, *others]])
    manifest.check_disjoint()
    return manifest


def much(absent: int, total: int) -> str:
    """A remark if so much is absent that it is hardly meant."""
    return " (more than half)" if 2 * absent > total else ""


def unite_identities(table: pd.DataFrame, root: Path, kind: str = "pictures") -> pd.DataFrame:
    """Put each identity wholly into the split that holds most of its listed pictures (the earlier of two alike).

    Listed, not present ones: the splits must not depend on how much has been downloaded.

    Args:
        table: Columns ``identity`` and ``split``.
        root: For the warning that says how many moved.
        kind: What a row is, for the same warning.
    """
    known = table[(table["identity"] != "") & (table["split"] != "")]
    if known.empty:
        return table
    counts = known.groupby(["identity", "split"]).size().reset_index(name="pictures")
    counts["order"] = counts["split"].map({split: number for number, split in enumerate(SPLITS)})
    counts = counts.sort_values(["pictures", "order"], ascending=[False, True]).drop_duplicates("identity")
    home = table["identity"].map(counts.set_index("identity")["split"]).fillna(table["split"])
    moved = int((home != table["split"]).sum())
    if moved:
        warn(f"{root}: {moved} listed {kind} moved to the split that holds most {kind} of their identity")
    return table.assign(split=home)


def warn(message: str) -> None:
    """Warn with a :class:`DatasetWarning`."""
    warnings.warn(message, DatasetWarning, stacklevel=3)
