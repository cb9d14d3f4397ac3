"""Reading a latent store."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.encoders import EncoderCard
from lcmem.errors import LCMemError
from lcmem.latents.card import StoreCard
from lcmem.latents.index import OWN, read_index, read_skipped
from lcmem.latents.shards import ShardReader, check_shard
from lcmem.latents.statistics import ChannelStatistics, merge_moments
from lcmem.pictures.manifest import Manifest


@dataclass(frozen=True, eq=False)
class LatentStore:
    """Latents of pictures, read from disk as they are asked for; see :func:`lcmem.latents.build_store`.

    Attributes:
        folder: Where it is.
        card: Encoder, size, views and shape of the latents.
        manifest: The pictures that it holds, in the order of the positions.
        skipped: Why other pictures of the manifest that it was built from could not be read.
        encoded: How many pictures the run that built it encoded; 0 for a store that was only opened.
    """

    folder: Path
    card: StoreCard
    manifest: Manifest = field(repr=False)
    skipped: list[str] = field(repr=False)
    places: np.ndarray = field(repr=False)
    """``[N, 2]``: each picture's shard and row."""
    moments: np.ndarray = field(repr=False)
    """``[N, 2, C]`` float64: mean and variance of each picture's channels."""
    scales: dict[str, ChannelStatistics] = field(repr=False)
    """What each dataset is normalised by: statistics of the whole store, also where only a part was selected."""
    shards: ShardReader = field(repr=False)
    encoded: int = 0

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "LatentStore":
        """Open a finished store. No latents are read yet.

        Raises:
            LCMemError: Not a store, unfinished, damaged, or a shard is missing or truncated.
        """
        place = Path(folder)
        card, index = StoreCard.read(place), read_index(place)
        for number in index["shard"].unique():
            check_shard(place, int(number), card)
        manifest = Manifest(index.drop(columns=OWN))
        moments = np.stack((np.stack(index["mean"]), np.stack(index["var"])), axis=1)
        return cls(
            place,
            card,
            manifest,
            read_skipped(place),
            index[["shard", "row"]].to_numpy(),
            moments,
            _scales(manifest.table, moments),
            ShardReader(place, card),
        )

    def __len__(self) -> int:
        return len(self.manifest)

    def select(self, *, split: str | None = None, dataset: str | None = None) -> "LatentStore":
        """The pictures of one split, one dataset, or both; nothing is copied.

        Normalised reading stays the same: statistics for it come from the whole store.

        Raises:
            LCMemError: Nothing is left.
        """
        part = self.manifest.select(split=split, dataset=dataset)
        return self.rows(pd.Index(self.manifest.table["path"]).get_indexer(pd.Index(part.table["path"])))

    def rows(self, positions: np.ndarray) -> "LatentStore":
        """The pictures at these positions, in this order; nothing is copied."""
        part = self.manifest.rows(positions)
        return replace(self, manifest=part, places=self.places[positions], moments=self.moments[positions])

    def check(self, encoder: EncoderCard, size: int, *, mirror: bool) -> None:
        """Whether it serves a training.

        Raises:
            LCMemError: Its latents are of another encoder or size, or mirror images are missing.
        """
        wanted = StoreCard.of(encoder, size, 2 if mirror else self.card.views)
        self.card.check_same(wanted, self.folder)

    def read(self, positions: np.ndarray, view: np.ndarray | int = 0, *, normalise: bool = False) -> Tensor:
        """Latents of some pictures.

        Args:
            positions: ``[n]`` positions in the manifest, in any order, repeated or not.
            view: 0 for the picture as it is, 1 for its mirror image; one for all or ``[n]``.
            normalise: Scale each dataset's channels to mean 0 and standard deviation 0.5 (paper, section 3.1), by the
                dataset's train split where it has one, so that test pictures do not shape what a model is trained on.

        Returns:
            ``[n, C, h, w]`` float32.

        Raises:
            LCMemError: A mirror image from a store without them; or a shard is missing or truncated.
        """
        places = self.places[positions]
        views = np.broadcast_to(view, len(places))
        if (views >= self.card.views).any():
            raise LCMemError(f"{self.folder}: holds no mirror images; build it anew with lcmem encode --mirror")
        latents = np.empty((len(places), *self.card.shape), dtype=np.float32)
        for shard in np.unique(places[:, 0]):
            at = np.flatnonzero(places[:, 0] == shard)
            latents[at] = self.shards.rows(int(shard))[places[at, 1], views[at]]
        if normalise:
            names = self.manifest.table["dataset"].to_numpy()[positions]
            for name in set(names):
                latents[names == name] = self.scales[name].normalise(latents[names == name])
        return torch.from_numpy(latents)

    def statistics(self) -> ChannelStatistics:
        """Over all pictures of this store, or of this part of it; first views only."""
        return merge_moments(self.moments[:, 0], self.moments[:, 1])

    def statistics_by_dataset(self) -> dict[str, ChannelStatistics]:
        """The same for each dataset, in alphabetical order."""
        groups = self.manifest.table.groupby("dataset").indices
        return {str(name): merge_moments(*self.moments[at].swapaxes(0, 1)) for name, at in groups.items()}


def _scales(table: pd.DataFrame, moments: np.ndarray) -> dict[str, ChannelStatistics]:
    """Statistics of each dataset's train split, or of all its pictures where it has none."""
    scales = {}
    for name, at in table.groupby("dataset").indices.items():
        train = at[(table["split"].to_numpy()[at] == "train")]
        part = moments[train if len(train) else at]
        scales[str(name)] = merge_moments(part[:, 0], part[:, 1])
    return scales
