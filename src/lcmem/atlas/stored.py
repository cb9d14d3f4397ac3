"""Reading an atlas: its pictures, and their features where they lie on the disk."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from lcmem.atlas.card import AtlasCard
from lcmem.atlas.shard import COLUMNS, Shard, damaged, read_shard
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest


class StoredFeatures:
    """The rows of an atlas, one for each path; everything is read when it is first asked for.

    Attributes:
        folder: Where it is.
        card: Model, dimension and shards.
    """

    def __init__(self, folder: Path, card: AtlasCard) -> None:
        self.folder, self.card = folder, card

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

    def rows(self, at: np.ndarray) -> pd.DataFrame:
        """Some rows ``[n]`` of :attr:`table`; the others are not read."""
        return pa.concat_tables([shard.table.select(COLUMNS) for shard in self.shards]).take(pa.array(at)).to_pandas()

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
        """``[N]``; as in :attr:`lcmem.pictures.manifest.Manifest.identities`, a picture without one is its own."""
        return np.array(self.manifest.identities, dtype=object)

    @property
    def datasets(self) -> np.ndarray:
        """``[N]`` names of datasets, "" where there is none."""
        return self.table["dataset"].to_numpy(dtype=object)

    def blocks(self) -> list[np.ndarray]:
        """Features as read-only ``[n_i, D]`` float32, one after the other in the order of the rows; nothing is copied.

        Raises:
            LCMemError: A shard is missing, truncated, damaged or of another dimension. Values are not looked at: what
                is appended is checked, and :func:`lcmem.atlas.check.verify` reads everything again.
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
        """Content hashes of these pictures by path and stamp, as :func:`content_table` takes them."""
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
