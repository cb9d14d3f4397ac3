"""The index of a latent store: which pictures it holds, in which rows, and which could not be read."""

from pathlib import Path

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.pictures.manifest import Manifest

INDEX, SKIPPED = "index.parquet", "skipped.csv"
OWN = ["stamp", "sha256", "shard", "row", "mean", "var"]
"""Columns that the index has beside the manifest's; the manifest's own of such a name are left out."""


def write_index(folder: Path, manifest: Manifest, contents: pd.DataFrame, stored: pd.DataFrame) -> None:
    """Save index and list of skipped pictures; with the index the store is finished.

    Args:
        folder: Of the store.
        manifest: All pictures.
        contents: Their ``stamp``, ``sha256`` and ``reason`` ("" for those that are stored), in the same order.
        stored: What :func:`lcmem.latents.shards.stored_rows` found.

    Raises:
        LCMemError: None of the pictures could be read.
    """
    readable = (contents["reason"] == "").to_numpy()
    skipped = contents.loc[~readable, ["path", "reason"]]
    if not readable.any():
        raise LCMemError(f"none of the {len(skipped)} pictures could be read, for example {skipped['reason'].iloc[0]}")
    contents = contents[readable].reset_index(drop=True)
    rows = stored.loc[contents["sha256"]].reset_index(drop=True)
    pictures = manifest.table[readable].drop(columns=OWN, errors="ignore").reset_index(drop=True)
    table = pd.concat((pictures, contents[["stamp", "sha256"]], rows[["shard", "row", "mean", "var"]]), axis=1)
    with replacing(folder / SKIPPED) as partial:
        skipped.to_csv(partial, index=False)
    with replacing(folder / INDEX) as partial:
        table.to_parquet(partial, index=False)


def read_index(folder: Path) -> pd.DataFrame:
    """The index as it was written.

    Raises:
        LCMemError: It is missing or damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        raise LCMemError(f"{folder}: unfinished, {INDEX} is missing; run the same lcmem encode again, it goes on")
    try:
        table = pd.read_parquet(path)
        table[OWN]
    except Exception as error:  # pyarrow and pandas raise many kinds on damaged files
        raise LCMemError(
            f"{path}: damaged ({error}); delete this file and run the same lcmem encode again, no latents are lost"
        ) from error
    return table


def known_contents(folder: Path) -> dict[tuple[str, str], str]:
    """Content hashes by path and stamp, from the last index; nothing where there is none."""
    if not (folder / INDEX).is_file():
        return {}
    table = read_index(folder)
    keys = zip(table["path"], table["stamp"], table["sha256"], strict=True)
    return {(path, stamp): sha256 for path, stamp, sha256 in keys if stamp}


def last_shard(folder: Path) -> int:
    """The highest number of a shard that the last index refers to, whether it is still there or not; −1 without one."""
    path = folder / INDEX
    return int(pd.read_parquet(path, columns=["shard"])["shard"].max()) if path.is_file() else -1


def read_skipped(folder: Path) -> list[str]:
    """Why pictures could not be read."""
    path = folder / SKIPPED
    return list(pd.read_csv(path, dtype=str, keep_default_na=False)["reason"]) if path.is_file() else []
