"""Writing shards so that whatever kills the writer, what it finished stays."""

import json
import os
from pathlib import Path

import numpy as np

from lcmem.latents.card import StoreCard
from lcmem.latents.index import last_shard
from lcmem.latents.shards import SHARDS, seal_shard, shard_numbers, shard_path
from lcmem.latents.statistics import picture_moments


def recover_shards(folder: Path, card: StoreCard) -> None:
    """End the shards that a killed run left open."""
    for number in shard_numbers(folder, "jsonl"):
        seal_shard(folder, number, card)


class ShardWriter:
    """Appends rows to new shards; a context manager that ends the last shard when all went well.

    After an error nothing is ended: the journal stays, and :func:`recover_shards` makes use of it.

    Args:
        folder: Of the store.
        card: Of the store.
    """

    def __init__(self, folder: Path, card: StoreCard) -> None:
        self.folder, self.card, self.count = folder, card, 0
        (folder / SHARDS).mkdir(exist_ok=True)
        # a number that the last index knows is not used again: it would then name other pictures' rows
        self.number = max(last_shard(folder), *shard_numbers(folder, "f16"), -1) + 1

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.count:
            self._finish()

    def append(self, keys: list[str], latents: np.ndarray) -> None:
        """Add rows ``[n, views, C, h, w]`` float16 and their keys."""
        while keys:
            room = self.card.shard_rows - self.count
            self._write(keys[:room], latents[:room])
            keys, latents = keys[room:], latents[room:]
            if self.count == self.card.shard_rows:
                self._finish()

    def _write(self, keys: list[str], latents: np.ndarray) -> None:
        rows, journal = (shard_path(self.folder, self.number, suffix) for suffix in ("f16", "jsonl"))
        journal.touch()  # first, so that rows without a journal are always a finished shard's
        with rows.open("ab") as file:
            file.write(latents.tobytes())
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the journal's line and lose the row
        moments = zip(keys, *picture_moments(latents[:, 0]), strict=True)
        lines = [{"key": key, "mean": mean.tolist(), "var": var.tolist()} for key, mean, var in moments]
        with journal.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self.count += len(keys)

    def _finish(self) -> None:
        seal_shard(self.folder, self.number, self.card)
        self.number, self.count = self.number + 1, 0
