"""The index of a store: which pictures it stands for, what they hold, and where their rows are."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.errors import LCMemError
from lcmem.files import read_table, replacing, write_table
from lcmem.store.card import Card

INDEX, SKIPPED = "index.parquet", "skipped.csv"
OWN = ["stamp", "sha256", "shard", "row"]
"""Columns that every index has beside ``path`` and whatever else is known of a picture."""
GROUP = 65536
"""Rows that are read together."""


class Index:
    """The file, which is replaced as a whole: a change is there completely or not at all.

    Who opened it before another process changed it is refused: its rows may be other pictures now.

    Args:
        folder: Of the store.
        card: Of the store.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self.path, self.card = folder / INDEX, card
        self._seen = self._state()

    def _state(self) -> tuple[int, ...]:
        """What differs after the file was replaced."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return ()
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _file(self) -> pq.ParquetFile:
        try:
            file = pq.ParquetFile(self.path)
            missing = {"path", *OWN} - set(file.schema_arrow.names)
            if missing:
                raise ValueError(f"no column {min(missing)!r}")
            return file
        except FileNotFoundError:
            raise
        except Exception as error:  # pyarrow raises many kinds on damaged files
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> LCMemError:
        return LCMemError(
            f"{self.path}: damaged ({error}); delete this file and run {self.card.words.command} again, nothing that "
            "was encoded is lost"
        )

    def _rows(self, columns: list[str] | None, groups: Iterable[int] | None = None) -> pd.DataFrame:
        """Columns of the pictures, all or those of some groups."""
        file = self._file()
        try:
            wanted = range(file.num_row_groups) if groups is None else groups
            table = file.read_row_groups([int(group) for group in wanted], columns)
            table.validate(full=True)  # or letters that are none are found by whoever uses them first
            rows = table.to_pandas()
        except Exception as error:  # pyarrow raises many kinds on damaged files
            raise self._damaged(error) from error
        self.check_current()
        return rows

    def __len__(self) -> int:
        return int(self._file().metadata.num_rows) if self.path.is_file() else 0

    @property
    def next(self) -> int:
        """Number of the next shard at the time of the last change."""
        return int((self._file().schema_arrow.metadata or {}).get(b"next", 0)) if self.path.is_file() else 0

    def read(self, columns: list[str] | None = None) -> pd.DataFrame:
        """All pictures, or nothing where there is no index yet.

        Raises:
            LCMemError: It is damaged, or another process has changed it.
        """
        if not self.path.is_file():
            empty = pd.DataFrame(columns=["path", *OWN], dtype=str).astype({"shard": int, "row": int})
            return empty if columns is None else empty.reindex(columns=columns)
        return self._rows(columns)

    def take(self, at: np.ndarray, columns: list[str]) -> pd.DataFrame:
        """The pictures at some positions ``[n]``; most of the others are not read."""
        groups = np.unique(at // GROUP)
        inside = np.searchsorted(groups, at // GROUP) * GROUP + at % GROUP  # only the last group is not full
        found = self._rows(columns, groups) if len(at) else self.read(columns)
        return found.iloc[inside].reset_index(drop=True)

    def places(self) -> np.ndarray:
        """Shard and row of each picture, ``[N, 2]``."""
        return self.read(["shard", "row"]).to_numpy(dtype=np.int64)

    def known(self, paths: list[str]) -> dict[tuple[str, str], str]:
        """Content hashes of these pictures by path and stamp, as
        :func:`lcmem.pictures.content.content_table` takes them."""
        rows = self.read(["path", "stamp", "sha256"])
        rows = rows[rows["path"].isin(paths) & (rows["stamp"] != "")]
        return {
            (path, stamp): key for path, stamp, key in zip(rows["path"], rows["stamp"], rows["sha256"], strict=True)
        }

    def check_current(self) -> None:
        """Whether it is as this process knows it.

        Raises:
            LCMemError: Another process has changed it.
        """
        if self._state() != self._seen:
            noun = self.card.words.noun.partition(" ")[2]
            raise LCMemError(
                f"{self.path.parent}: another process has changed this {noun} meanwhile; run the command again"
            )

    def write(self, table: pd.DataFrame, following: int) -> None:
        """Replace it.

        Args:
            table: ``path``, :data:`OWN` and further columns.
            following: Number of the next shard.

        Raises:
            LCMemError: Another process has changed it.
        """
        self.check_current()
        found = pa.Table.from_pandas(table, preserve_index=False)
        found = found.replace_schema_metadata({**(found.schema.metadata or {}), b"next": str(following).encode()})
        with replacing(self.path) as partial:
            pq.write_table(found, partial, row_group_size=GROUP)
        self._seen = self._state()


def merged(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame | None:
    """An index with further pictures, which replace those of the same path; None where nothing would change.

    Args:
        old: What is there.
        new: ``path, stamp, sha256`` and further columns; only these are kept.
    """
    columns = list(new)
    old = old.reindex(columns=columns)
    if new.merge(old, how="left", on=columns, indicator="found")["found"].eq("both").all():
        return None
    return pd.concat((old[~old["path"].isin(new["path"])], new), ignore_index=True)


def write_skipped(folder: Path, contents: pd.DataFrame) -> None:
    """Save ``path`` and ``reason`` of those pictures that have a reason not to be read; a list that says so already, as
    one of nothing where there is none, is not written to."""
    skipped = contents.loc[contents["reason"] != "", ["path", "reason"]]
    if skipped.to_numpy().tolist() != read_skipped(folder).to_numpy().tolist():
        write_table(skipped, folder / SKIPPED)


def read_skipped(folder: Path) -> pd.DataFrame:
    """The same."""
    path = folder / SKIPPED
    empty = pd.DataFrame(columns=["path", "reason"], dtype=str)
    return read_table(path) if path.is_file() else empty
