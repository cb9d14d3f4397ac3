"""Shards of a latent store: raw float16 rows, and a table that says what they are."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.latents.card import StoreCard

SHARDS = "shards"


def shard_path(folder: Path, number: int, suffix: str) -> Path:
    """``shards/00003.f16`` (rows), ``.parquet`` (their table) or ``.jsonl`` (the journal of a shard being written)."""
    return folder / SHARDS / f"{number:05d}.{suffix}"


def shard_numbers(folder: Path, suffix: str) -> list[int]:
    """Numbers of the shards that have a file of this kind, in order."""
    found = (folder / SHARDS).glob(f"*.{suffix}")
    return sorted(int(path.stem) for path in found if path.stem.isdigit())


def seal_shard(folder: Path, number: int, card: StoreCard) -> None:
    """End a shard: its journal becomes a table, and what was torn when the writer was killed is cut off.

    Whatever kills this function, it can be run again.
    """
    rows, journal = (shard_path(folder, number, suffix) for suffix in ("f16", "jsonl"))
    entries = _read_journal(journal)
    count = min(len(entries), rows.stat().st_size // card.row_bytes if rows.is_file() else 0)
    if count:
        os.truncate(rows, count * card.row_bytes)
        with replacing(shard_path(folder, number, "parquet")) as partial:
            pd.DataFrame(entries[:count]).to_parquet(partial, index=False)
    else:
        rows.unlink(missing_ok=True)
    journal.unlink()  # last: while there is a journal, the shard is not finished


def _read_journal(path: Path) -> list[dict[str, Any]]:
    """The lines up to the first torn one."""
    entries = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            break
        if not isinstance(entry, dict) or entry.keys() != {"key", "mean", "var"}:
            break
        entries.append(entry)
    return entries


def check_shard(folder: Path, number: int, card: StoreCard) -> None:
    """A finished shard must hold as many rows as its table says.

    Raises:
        LCMemError: It is missing, truncated or damaged.
    """
    rows, table = (shard_path(folder, number, suffix) for suffix in ("f16", "parquet"))
    way_out = f"delete {rows.with_suffix('.*')} and run the same lcmem encode again, its pictures are then encoded anew"
    try:
        expected = pq.read_metadata(table).num_rows * card.row_bytes
        found = rows.stat().st_size
    except Exception as error:  # OSError, or one of pyarrow's own kinds on a damaged file
        raise LCMemError(f"{rows}: missing or damaged ({error}); {way_out}") from error
    if found < expected:
        raise LCMemError(f"{rows}: truncated, {found} of {expected} bytes are left; {way_out}")


def stored_rows(folder: Path, card: StoreCard) -> pd.DataFrame:
    """Everything in the finished shards: ``shard``, ``row``, ``mean`` and ``var`` (lists ``[C]``), indexed by key.

    Raises:
        LCMemError: A shard is missing, truncated or damaged.
    """
    parts = [pd.DataFrame({"key": [], "mean": [], "var": [], "shard": [], "row": []})]
    for number in sorted({*shard_numbers(folder, "parquet"), *shard_numbers(folder, "f16")}):
        check_shard(folder, number, card)
        table = pd.read_parquet(shard_path(folder, number, "parquet"))
        parts.append(table.assign(shard=number, row=np.arange(len(table))))
    return pd.concat(parts[1:] or parts).drop_duplicates("key").set_index("key")


class ShardReader:
    """Rows of the finished shards by memory maps, each opened when it is first needed."""

    def __init__(self, folder: Path, card: StoreCard) -> None:
        self.folder, self.card = folder, card
        self._maps: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        # a pickled memory map is a copy of the whole file: processes that are handed a store open their own
        return {"folder": self.folder, "card": self.card, "_maps": {}}

    def rows(self, number: int) -> np.ndarray:
        """``[rows, views, C, h, w]`` float16 of one shard.

        Raises:
            LCMemError: The shard is missing, truncated or damaged.
        """
        if number not in self._maps:
            check_shard(self.folder, number, self.card)
            path = shard_path(self.folder, number, "f16")
            count = path.stat().st_size // self.card.row_bytes
            self._maps[number] = np.memmap(path, np.float16, "r", shape=(count, *self.card.row_shape))
        return self._maps[number]
