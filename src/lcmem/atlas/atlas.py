"""The Atlas: stored features of pictures, so that none is encoded twice (paper, section 3.2)."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from lcmem.atlas.card import CARD, AtlasCard
from lcmem.atlas.shard import SHARD_ROWS, Shard, clean, join_shards, new_shard, write_shard
from lcmem.atlas.stored import StoredFeatures
from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector


class Atlas(StoredFeatures):
    """A folder of Arrow shards and a card that lists them; one row for each path.

    New shards are written first and listed then, all at once. Whatever kills a writer, its last change is there as a
    whole or not at all. Any number of processes may read an atlas, one may write to it.
    """

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Atlas":
        """Open an atlas. Nothing but the card is read yet.

        Raises:
            LCMemError: Not an atlas, or its card is damaged.
        """
        return cls(Path(folder), AtlasCard.read(Path(folder)))

    @classmethod
    def create(cls, folder: str | os.PathLike[str], detector: "Detector", *, working: bool = False) -> "Atlas":
        """Open an atlas for adding to it, or make a new one.

        Shards that were deleted because they were damaged are struck off, so that their pictures are done anew.

        Args:
            folder: Where it is.
            detector: The model.
            working: Whether a job keeps all its pictures here; see :class:`lcmem.atlas.card.AtlasCard`.

        Raises:
            LCMemError: The folder holds another model's features, or the atlas is for the other purpose.
        """
        place, card = Path(folder), AtlasCard.of(detector, working=working)
        if (place / CARD).is_file():
            found = AtlasCard.read(place)
            found.check_same(card, place)
            if not working:
                found.check_set(place)
            elif not found.working:
                raise LCMemError(
                    f"{place}: holds a set of pictures that this job would mix with others; choose another folder"
                )
            card = replace(found, shards={name: n for name, n in found.shards.items() if (place / name).is_file()})
        place.mkdir(parents=True, exist_ok=True)
        card.write(place)
        clean(place, card.shards)
        return cls(place, card)

    def check(self, detector: "Detector") -> None:
        """Whether the features are this model's.

        Raises:
            LCMemError: They are not.
        """
        self.card.check_same(AtlasCard.of(detector), self.folder)

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
            LCMemError: One is not an atlas, holds another model's features or a job's; then nothing was added.
        """
        opened = [Atlas.open(other) for other in others]
        for other in opened:
            self.card.check_same(other.card, self.folder)
            other.card.check_set(other.folder)
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
