"""The Atlas: stored features of pictures, so that none is encoded twice (paper, section 3.2)."""

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import Tensor

from lcmem.atlas.card import KIND, feature_card
from lcmem.errors import LCMemError
from lcmem.locks import alone_in
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest
from lcmem.scan.chunked import ChunkedRows, as_array
from lcmem.store import Card, Store
from lcmem.store.fill import check_finite
from lcmem.store.index import merged, read_skipped

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

COLUMNS = ["path", "stamp", "sha256", "identity", "dataset"]
"""What is known of a picture beside its features; sha256 as of :func:`lcmem.pictures.content.content_table`."""
CHUNK = 16384
"""Rows that are copied at once."""


class Atlas:
    """A manifest and the features of its pictures: a store whose index has one row for each path.

    Whatever kills a writer, its last change is there as a whole or not at all. Any number of processes may read an
    atlas, one may write to it: what others opened before that refuses to be read on, since its rows may be other
    pictures now.

    Attributes:
        store: Where everything is.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Atlas":
        """Open an atlas. Nothing but the card is read yet.

        Raises:
            LCMemError: Not an atlas, or its card is damaged.
        """
        return cls(Store.open(Path(folder), KIND))

    @classmethod
    def create(cls, folder: str | os.PathLike[str], detector: "Detector") -> "Atlas":
        """Open an atlas for adding to it, or make a new one.

        Where a shard was deleted because it was damaged, filling the atlas encodes its pictures again.

        Args:
            folder: Where it is.
            detector: The model.

        Raises:
            LCMemError: The folder holds another model's features, or something else, or a shard is damaged.
        """
        store = Store.claim(Path(folder), feature_card(detector))
        store.delete_leftovers()
        return cls(store)

    def check(self, detector: "Detector") -> None:
        """Whether the features are this model's.

        Raises:
            LCMemError: They are not.
        """
        self.card.check_same(feature_card(detector), self.folder)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.store.folder

    @property
    def card(self) -> Card:
        """The card of its store."""
        return self.store.card

    @property
    def model(self) -> str:
        """Name of the model whose features it holds."""
        return str(self.card.about["model"])

    @property
    def dims(self) -> int:
        """Features D of a picture."""
        return self.card.shape[0]

    def __repr__(self) -> str:
        return f"Atlas({str(self.folder)!r}: {len(self)} pictures, {self.dims} features of model {self.model!r})"

    def __len__(self) -> int:
        return len(self.store.index)

    @property
    def table(self) -> pd.DataFrame:
        """All pictures: ``path, stamp, sha256, identity, dataset``; a copy.

        Raises:
            LCMemError: Another process has changed the atlas since it was opened, as for all that is read of it.
        """
        return self._table.copy()

    @cached_property
    def _table(self) -> pd.DataFrame:
        return self.store.index.read().reindex(columns=COLUMNS)

    def summary(self) -> dict[str, Any]:
        """What it holds, JSON-ready; no picture is opened."""
        manifest, files = self.manifest, [path for path in self.folder.rglob("*") if path.is_file()]
        return {
            "pictures": len(self),
            "contents": int(self._table["sha256"].nunique()),
            "identities": manifest.known_identities,
            "datasets": self._table["dataset"].value_counts().to_dict(),
            "skipped": len(read_skipped(self.folder)),
            "model": self.model,
            "fingerprint": self.card.maker["fingerprint"],
            "features": self.dims,
            "shards": len(self.store.shards.numbers()),
            "bytes": sum(path.stat().st_size for path in files),
        }

    def rows(self, at: np.ndarray) -> pd.DataFrame:
        """Some rows ``[n]`` of :attr:`table`; most of the others are not read.

        Raises:
            LCMemError: A row that is not there.
        """
        return self.store.index.take(self._present(at), COLUMNS)

    def _present(self, at: np.ndarray) -> np.ndarray:
        rows = np.arange(len(self))[at] if isinstance(at, slice) else np.asarray(at)
        rows = np.flatnonzero(rows) if rows.dtype == bool and len(rows) == len(self) else rows
        if rows.size and rows.dtype.kind not in "iu":
            raise LCMemError(f"{self.folder}: rows are whole numbers, or a mask of all pictures, not {rows.dtype}")
        rows = rows.astype(np.int64)
        if ((rows < 0) | (rows >= len(self))).any():
            raise LCMemError(f"{self.folder}: rows {rows.min()} to {rows.max()} of an atlas of {len(self)} pictures")
        return rows

    def lost(self) -> Manifest:
        """The pictures whose features are gone with a shard that was deleted."""
        gone = self.store.find(self._table["sha256"])[:, 0] < 0
        return self.manifest.rows(np.flatnonzero(gone))

    @property
    def manifest(self) -> Manifest:
        """The pictures, in the order of the rows."""
        return Manifest(self._table[["path", "identity"]].assign(split="", dataset=self._table["dataset"]))

    @property
    def paths(self) -> np.ndarray:
        """``[N]`` paths."""
        return self._table["path"].to_numpy(dtype=object)

    @property
    def identities(self) -> np.ndarray:
        """``[N]``; as in :attr:`lcmem.pictures.manifest.Manifest.identities`, a picture without one is its own."""
        return np.array(self.manifest.identities, dtype=object)

    @property
    def datasets(self) -> np.ndarray:
        """``[N]`` names of datasets, "" where there is none."""
        return self._table["dataset"].to_numpy(dtype=object)

    def blocks(self) -> ChunkedRows:
        """Features ``[N, D]`` float32 where they lie on the disk, in the order of the rows; nothing is copied.

        Raises:
            LCMemError: A shard is missing, truncated or damaged. Values are not looked at: what is appended is checked,
                and :func:`lcmem.atlas.check.verify` reads everything again.
        """
        return ChunkedRows([self.store.rows(self.store.index.places())])

    def features(self, rows: np.ndarray | None = None) -> np.ndarray:
        """A copy of the features of some rows ``[n]``, or of all.

        Returns:
            ``[n, D]`` float32.

        Raises:
            LCMemError: A shard cannot be used, or holds NaN; or a row that is not there.
        """
        places = self.store.index.places()
        places = places if rows is None else places[self._present(rows)]
        values = np.array(self.store.rows(places)[:])
        broken = ~np.isfinite(values).all(1)
        if broken.any():
            raise self.store.shards.damaged(int(places[broken.argmax(), 0]), "holds NaN")
        return values

    def append(self, manifest: Manifest, features: np.ndarray | Tensor, contents: pd.DataFrame | None = None) -> None:
        """Add pictures; a path that is there already is replaced.

        Args:
            manifest: N pictures.
            features: ``[N, D]`` of the atlas's model, as its ``features()`` gives them. Of a file whose content is
                stored already, under whatever path, those that are there stay: a model gives one content one row.
            contents: Their ``stamp`` and ``sha256`` from before they were encoded; None reads them now.

        Raises:
            LCMemError: Features of another shape or not finite, an unreadable picture, another process has changed the
                atlas, or features of other pictures are gone.
        """
        features = as_array(features)
        contents = content_table(manifest.paths, {}) if contents is None else contents
        keys = contents["sha256"].reset_index(drop=True)
        if (keys == "").any():
            raise LCMemError(f"{manifest.paths[int((keys == '').argmax())]}: cannot be read, so it cannot be stored")
        if features.shape != (len(manifest), self.dims):
            raise LCMemError(f"features of shape {features.shape} for {len(manifest)} pictures × {self.dims} features")
        check_finite(features, manifest.paths, self.store)
        with alone_in(self.folder):
            self._begin(manifest.paths)
            self._add(keys, features)
            self.record(manifest, contents)

    def _begin(self, besides: Iterable[str] = ()) -> None:
        """What comes before a change: a killed one is cleared up, and all pictures but these must have their features;
        without them they could not be told any more.

        Raises:
            LCMemError: A shard was deleted.
        """
        self.store.delete_leftovers()  # looks at the shards again: another process may have changed them meanwhile
        if lost := len({*self.lost().paths} - {*besides}):
            raise LCMemError(
                f"{self.folder}: the features of {lost} pictures are gone with a shard that was deleted; run lcmem "
                "index first, which encodes them again"
            )

    def _add(self, keys: pd.Series, features: np.ndarray) -> None:
        """Store the rows ``[n, D]`` of those contents that are not there."""
        new = ~keys.duplicated().to_numpy() & (self.store.find(keys)[:, 0] < 0)
        self.store.writer().append(list(keys[new]), features[new])
        self.store.reload()

    def record(self, manifest: Manifest, contents: pd.DataFrame, *, keep_missing: bool = True) -> None:
        """Index N pictures whose features are stored, with their ``stamp`` and ``sha256``; replaces the same paths.

        Args:
            manifest: The pictures.
            contents: Of each.
            keep_missing: False forgets all other pictures, in the same step.
        """
        rows = manifest.table[["path", "identity", "dataset"]].reset_index(drop=True)
        rows = pd.concat((rows, contents[["stamp", "sha256"]].reset_index(drop=True)), axis=1)
        self._update(rows[COLUMNS], keep_missing=keep_missing)

    def _update(self, rows: pd.DataFrame, *, keep_missing: bool = True) -> None:
        every = self.store.index.read()
        places = self.store.find(every["sha256"])
        kept = places[:, 0] >= 0
        old = every[kept] if keep_missing else every[kept & every["path"].isin(rows["path"])]
        table = merged(old, rows)
        if table is not None or len(old) < len(every) or (places != self.store.index.places()).any():
            self._commit(old.reindex(columns=COLUMNS) if table is None else table)

    def remove(self, paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> int:
        """Forget pictures; the shards that hold their features are rewritten.

        Args:
            paths: Their paths, or one. What is not there is passed over.

        Returns:
            How many there were.
        """
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        named = {os.fspath(path) for path in several}
        with alone_in(self.folder):
            self._begin()
            table = self.store.index.read().reindex(columns=COLUMNS)
            gone = table["path"].isin(named | {os.path.abspath(path) for path in named})
            if gone.any():
                self._commit(table[~gone])
            return int(gone.sum())

    def merge(self, others: Iterable[str | os.PathLike[str]]) -> None:
        """Add the pictures of other atlases; of a path in several the last one counts.

        Killed in between, the same call goes on.

        Raises:
            LCMemError: One is not an atlas, is damaged or holds another model's features; then nothing was added.
        """
        opened = [Atlas.open(other) for other in others]
        for other in opened:
            self.card.check_same(other.card, self.folder)
        stored = [(other.table, other.blocks()) for other in opened]  # both as they were when they were opened
        with alone_in(self.folder):
            self._begin()
            for table, blocks in stored:
                for start in range(0, len(blocks), CHUNK):
                    part = slice(start, start + CHUNK)
                    self._add(table["sha256"][part].reset_index(drop=True), blocks[part])
            for table, _ in stored:
                self._update(table)

    def _commit(self, table: pd.DataFrame) -> None:
        """Make this the index, in one step, and delete the features that it needs no more."""
        store = self.store
        store.index.check_current()
        gone = set(store.index.read(["sha256"])["sha256"]) - set(table["sha256"])
        worn = {int(number) for number in store.find(gone)[:, 0] if number >= 0} | store.small()
        store.copy(sorted(worn), gone)
        places = store.find(table["sha256"])
        store.record(table.iloc[np.lexsort((places[:, 1], places[:, 0]))])
        for number in worn:
            store.shards.delete(number)
        store.reload()
        self.__dict__.pop("_table", None)
