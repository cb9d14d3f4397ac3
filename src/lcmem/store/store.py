"""A folder of rows by content."""

from collections import Counter
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.store.card import Card
from lcmem.store.index import Index, merged
from lcmem.store.rows import StoredRows
from lcmem.store.shards import Shards, Writer

CHUNK = 16384
"""Rows that are copied at once."""


class Store:
    """Rows by content, and an index of pictures. Any number of processes may read it, one may write to it.

    Attributes:
        folder: Where it is.
        card: What its rows are.
        shards: Where they are.
        index: The pictures that they stand for.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card
        self.shards, self.index = Shards(folder, card), Index(folder, card)

    @classmethod
    def open(cls, folder: Path, kind: str) -> "Store":
        """Open a store for reading. Nothing but its card is read yet.

        Raises:
            LCMemError: Not a store of that kind, or its card is damaged.
        """
        return cls(folder, Card.read(folder, kind))

    @classmethod
    def claim(cls, folder: Path, card: Card) -> "Store":
        """Open a store for adding to it, or make a new one.

        Raises:
            LCMemError: The folder holds another store, or a shard is damaged. One that was deleted is no matter.
        """
        store = cls(folder, card.claim(folder))
        places = store.index.places()
        store.rows(places[np.isin(places[:, 0], store.shards.whole())])
        store.shards.delete_broken()
        return store

    @cached_property
    def _places(self) -> pd.DataFrame:
        """``shard`` and ``row`` by key; of a key in several shards the newest counts."""
        parts = [(number, self.shards.keys(number)) for number in self.shards.numbers()]
        keys = np.concatenate([np.empty(0, dtype=object), *(np.array(keys, dtype=object) for _, keys in parts)])
        counts = np.array([len(keys) for _, keys in parts], dtype=np.int64)
        shard = np.repeat(np.array([number for number, _ in parts], dtype=np.int64), counts)
        row = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = pd.DataFrame({"shard": shard, "row": row}, index=pd.Index(keys, dtype=object))
        return found[~found.index.duplicated(keep="last")]

    def find(self, keys: Iterable[str]) -> np.ndarray:
        """Shard and row of each key, ``[N, 2]``; −1 where there is none."""
        places = self._places
        at = places.index.get_indexer(pd.Index(list(keys), dtype=object))
        found = places.to_numpy(dtype=np.int64)[at] if len(places) else np.full((len(at), 2), -1)
        return np.where(at[:, None] >= 0, found, -1)

    def rows(self, places: np.ndarray) -> StoredRows:
        """Rows at these places ``[N, 2]``, read when they are asked for.

        Raises:
            LCMemError: A shard is missing, truncated or damaged.
        """
        return StoredRows(self.shards, places)

    def of(self, keys: Iterable[str]) -> StoredRows:
        """The rows of these keys ``[N]``, as by :meth:`rows`."""
        return self.rows(self.find(keys))

    def writer(self) -> Writer:
        """What adds rows; :meth:`reload` shows them."""
        return Writer(self.shards, self.index.next)

    def reload(self) -> None:
        """Look at the shards again."""
        self.__dict__.pop("_places", None)
        self.shards = Shards(self.folder, self.card)

    def small(self) -> set[int]:
        """The last shards that are better written as one: each is no larger than all that follow it together.

        As in a binary counter, every row is copied a few times only, and few small shards remain.
        """
        found: set[int] = set()
        count = 0
        for number in reversed(self.shards.numbers()):
            size = len(self.shards.lines(number))
            if found and (size > count or size + count > self.card.shard_rows):
                break
            found.add(number)
            count += size
        return found if len(found) > 1 else set()

    def copy(self, numbers: Iterable[int], gone: Collection[str]) -> None:
        """Write the rows of some shards into new ones, but for those of the keys that are ``gone``."""
        writer = self.writer()
        for number in numbers:
            keys = self.shards.keys(number)
            kept = np.array([at for at, key in enumerate(keys) if key not in gone], dtype=np.int64)
            for start in range(0, len(kept), CHUNK):
                part = kept[start : start + CHUNK]
                writer.append([keys[at] for at in part], self.shards.rows(number)[part])
        self.reload()

    def delete_leftovers(self) -> None:
        """Delete what a killed run left: shards that its index had replaced, and copies that no index names yet.

        A copy is a shard whose rows all lie in others. What else no index names was encoded, and stays.
        """
        used = set(self.index.places()[:, 0].tolist())
        for number in self.shards.numbers():
            if number < self.index.next and number not in used:
                self.shards.delete(number)
        new = [number for number in reversed(self.shards.numbers()) if number >= self.index.next]
        shards = self.shards.numbers() if new else []
        held = Counter(key for number in shards for key in set(self.shards.keys(number)))
        for number in new:
            keys = set(self.shards.keys(number))
            if all(held[key] > 1 for key in keys):
                self.shards.delete(number)
                held.subtract(keys)
        self.reload()

    def verify(self) -> list[str]:
        """Read everything again: what is wrong, a line for each shard."""
        problems = []
        for number in self.shards.numbers():
            try:
                rows = self.shards.rows(number)
                broken = self.shards.altered(number, rows, range(len(rows)))
                if broken:
                    problems.append(str(self.shards.damaged(number, f"{broken} rows are not what was written")))
            except LCMemError as error:
                problems.append(str(error))
        return problems

    def remember(self, pictures: pd.DataFrame) -> None:
        """Add ``path, stamp, sha256`` of pictures to the index, so that they need not be read again."""
        table = merged(self.index.read(), pictures)
        if table is not None:
            self.record(table)

    def record(self, table: pd.DataFrame) -> None:
        """Replace the index.

        Args:
            table: ``path, stamp, sha256`` and further columns of pictures whose rows are stored.

        Raises:
            LCMemError: Another process has changed the index.
        """
        places = self.find(table["sha256"])
        following = max([self.index.next - 1, *self.shards.numbers()]) + 1
        self.index.write(table.assign(shard=places[:, 0], row=places[:, 1]), following)
