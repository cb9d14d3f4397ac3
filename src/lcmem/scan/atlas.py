"""The Atlas: stored features of pictures, so that none is encoded twice (paper, section 3.2)."""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from lcmem.content import content_table
from lcmem.errors import LCMemError
from lcmem.manifest import Manifest
from lcmem.scan.card import CARD, AtlasCard
from lcmem.scan.shard import (
    COLUMNS,
    SHARD_ROWS,
    Shard,
    clean,
    damaged,
    join_shards,
    new_shard,
    read_shard,
    write_shard,
)

if TYPE_CHECKING:
    from lcmem.detectors.lcmem import LCMem


class Atlas:
    """A folder of Arrow shards and a card that lists them; one row for each path.

    New shards are written first and listed then, all at once. Whatever kills a writer, its last change is there as a
    whole or not at all. Any number of processes may read an atlas, one may write to it.

    Attributes:
        folder: Where it is.
        card: Model, dimension and shards.
    """

    def __init__(self, folder: Path, card: AtlasCard) -> None:
        self.folder, self.card = folder, card

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Atlas":
        """Open an atlas. Nothing but the card is read yet.

        Raises:
            LCMemError: Not an atlas, or its card is damaged.
        """
        return cls(Path(folder), AtlasCard.read(Path(folder)))

    @classmethod
    def create(cls, folder: str | os.PathLike[str], detector: "LCMem") -> "Atlas":
        """Open an atlas for adding to it, or make a new one.

        Shards that were deleted because they were damaged are struck off, so that their pictures are done anew.

        Raises:
            LCMemError: The folder holds another model's features.
        """
        place, card = Path(folder), AtlasCard.of(detector)
        if (place / CARD).is_file():
            found = AtlasCard.read(place)
            found.check_same(card, place)
            card = replace(found, shards={name: n for name, n in found.shards.items() if (place / name).is_file()})
        place.mkdir(parents=True, exist_ok=True)
        card.write(place)
        clean(place, card.shards)
        return cls(place, card)

    def check(self, detector: "LCMem") -> None:
        """Whether the features are this model's.

        Raises:
            LCMemError: They are not.
        """
        self.card.check_same(AtlasCard.of(detector), self.folder)

    def __len__(self) -> int:
        return self.card.pictures

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards, memory-mapped.

        Raises:
            LCMemError: One is missing, truncated, damaged or of another dimension.
        """
        return [read_shard(self.folder / name, rows, self.card.features) for name, rows in self.card.shards.items()]

    @cached_property
    def table(self) -> pd.DataFrame:
        """All rows without features: ``path, stamp, sha256, identity, dataset``."""
        parts = [shard.table.select(COLUMNS).to_pandas() for shard in self.shards]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS, dtype=str)

    @property
    def manifest(self) -> Manifest:
        """The pictures, in the order of the rows."""
        return Manifest(self.table[["path", "identity"]].assign(split="", dataset=self.table["dataset"]))

    @property
    def paths(self) -> np.ndarray:
        """``[N]`` paths."""
        return self.table["path"].to_numpy(dtype=object)

    @property
    def identities(self) -> np.ndarray:
        """``[N]``; as in :attr:`lcmem.manifest.Manifest.identities`, a picture without one is its own."""
        return np.array(self.manifest.identities, dtype=object)

    @property
    def datasets(self) -> np.ndarray:
        """``[N]`` names of datasets, "" where there is none."""
        return self.table["dataset"].to_numpy(dtype=object)

    def blocks(self) -> list[np.ndarray]:
        """Features as read-only ``[n_i, D]`` float32, one after the other in the order of the rows; nothing is copied.

        Raises:
            LCMemError: A shard is missing, truncated, damaged or of another dimension. Values are not looked at: what
                is appended is checked, and :func:`lcmem.scan.verify.verify` reads everything again.
        """
        return [shard.features for shard in self.shards]

    def features(self, rows: np.ndarray | None = None) -> np.ndarray:
        """A copy of the features of some rows ``[n]``, or of all.

        Returns:
            ``[n, D]`` float32.

        Raises:
            LCMemError: A shard cannot be used, or holds NaN.
        """
        rows = np.arange(len(self)) if rows is None else rows
        values = np.empty((len(rows), self.card.features), dtype=np.float32)
        start = 0
        for shard in self.shards:
            at = np.flatnonzero((rows >= start) & (rows < start + len(shard)))
            values[at] = shard.features[rows[at] - start]
            if not np.isfinite(values[at]).all():
                raise damaged(shard.path, "holds NaN")
            start += len(shard)
        return values

    def known(self, paths: list[str]) -> dict[tuple[str, str], str]:
        """Content hashes of these pictures by path and stamp, as :func:`lcmem.content.content_table` takes them."""
        rows = self.table[self.table["path"].isin(paths)]
        return {
            (path, stamp): key for path, stamp, key in zip(rows["path"], rows["stamp"], rows["sha256"], strict=True)
        }

    def find(self, sha256: Iterable[str]) -> np.ndarray:
        """For each content hash a row that holds its features, −1 where there is none."""
        first = self.table["sha256"].drop_duplicates()
        at = pd.Index(first).get_indexer(pd.Index(list(sha256), dtype=first.dtype))
        return np.where(at >= 0, first.index.to_numpy()[at], -1) if len(first) else np.full(len(at), -1)

    def lookup(self, paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """What is stored of these pictures, or of others with the same content.

        Files whose path and stamp are stored are not opened; the others are hashed.

        Returns:
            Which of them are stored, ``[N]``, and features ``[N, D]`` (zeros for the others).

        Raises:
            LCMemError: A shard is damaged, or holds NaN.
        """
        rows = self.find(content_table(paths, self.known(paths))["sha256"])
        features = np.zeros((len(paths), self.card.features), dtype=np.float32)
        features[rows >= 0] = self.features(rows[rows >= 0])
        return rows >= 0, features

    def append(self, manifest: Manifest, features: np.ndarray, contents: pd.DataFrame | None = None) -> None:
        """Add pictures; a path that is there already is replaced.

        Args:
            manifest: N pictures.
            features: ``[N, D]``.
            contents: Their ``stamp`` and ``sha256`` from before they were encoded; None reads them now.

        Raises:
            LCMemError: Features of another shape or not finite, or another process has changed the atlas.
        """
        contents = content_table(manifest.paths, {}) if contents is None else contents
        for start in range(0, len(manifest), SHARD_ROWS):
            part = slice(start, start + SHARD_ROWS)
            rows = manifest.rows(range(len(manifest))[part])
            self._put(new_shard(rows, contents.iloc[part], features[part], self.card.features))

    def remove(self, paths: Iterable[str]) -> int:
        """Forget pictures; the shards that hold them are written anew.

        Returns:
            How many there were.
        """
        before, gone = len(self), pa.array(list(paths), pa.string())
        self._commit(self._without(gone))
        return before - len(self)

    def merge(self, others: Iterable[str | os.PathLike[str]]) -> None:
        """Add the pictures of other atlases; of a path in several the last one counts.

        Killed in between, the same call goes on.

        Raises:
            LCMemError: One is not an atlas or holds another model's features; then nothing was added.
        """
        opened = [Atlas.open(other) for other in others]
        for other in opened:
            self.card.check_same(other.card, self.folder)
        for shard in [shard for other in opened for shard in other.shards]:
            self._put(shard)

    def _put(self, added: Shard) -> None:
        paths = added.table["path"].combine_chunks()
        self._commit(join_shards(self._without(paths), added))

    def _without(self, paths: pa.Array) -> list[Shard]:
        self._check_current()
        kept = [shard.without(paths) for shard in self.shards]
        return [shard for shard in kept if len(shard)]

    def _commit(self, shards: list[Shard]) -> None:
        """Make these the shards of the atlas, in one step."""
        listed, number = {}, self.card.next
        for shard in shards:
            name = f"shard-{number:05d}.arrow" if shard.path is None else shard.path.name
            if shard.path is None:
                write_shard(self.folder / name, shard)
                number += 1
            listed[name] = len(shard)
        self._check_current()
        self.card = replace(self.card, shards=listed, next=number)
        self.card.write(self.folder)
        for name in ("shards", "table"):
            self.__dict__.pop(name, None)
        clean(self.folder, listed)

    def _check_current(self) -> None:
        if AtlasCard.read(self.folder) != self.card:
            raise LCMemError(f"{self.folder}: another process has changed this atlas meanwhile; run the command again")
