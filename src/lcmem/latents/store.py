"""Reading a latent store."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.encoders import EncoderCard
from lcmem.encoders.pixels import PIXELS
from lcmem.errors import LCMemError
from lcmem.latents.statistics import ChannelStatistics, merge_moments
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest
from lcmem.store import Card, Store, StoredRows
from lcmem.store.index import OWN, read_skipped

KIND = "latents"
MOMENTS = ["mean", "var"]
"""Further columns of the index: of each picture's channels."""
SHARD_ROWS = 4096
"""Pictures in a full shard: 67 MB of 4×32×32 latents with mirror images."""


def latent_card(encoder: EncoderCard, size: int, views: int) -> Card:
    """The card of a store of latents ``[views, C, h, w]``: float16, or the bytes of pictures that are not encoded.

    Args:
        encoder: The autoencoder's card.
        size: Side in pixels of the square that pictures are squeezed into.
        views: 1 for the pictures as they are, 2 with their mirror images.

    Raises:
        LCMemError: The encoder cannot take pictures of that size.
    """
    if size < 1 or size % encoder.downsample:
        raise LCMemError(f"size {size} is not a multiple of {encoder.downsample}, as {encoder.name} needs it")
    side = size // encoder.downsample
    title = (
        f"{encoder.name} (sha256 {encoder.sha256[:12]}…, {encoder.input_range}, {encoder.latents}) at {size}×{size} "
        f"pixels {'with' if views == 2 else 'without'} mirror images"
    )
    # the weights' hash, not the source: the same encoder may be loaded from another place
    used = {"input_range": encoder.input_range, "latents": encoder.latents, "size": size}
    maker = {"sha256": encoder.sha256} | used
    shape, about = (views, encoder.channels, side, side), {"encoder": encoder.to_dict()}
    return Card(KIND, maker, title, shape, "uint8" if encoder.name == PIXELS else "float16", about, SHARD_ROWS)


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
    card: Card
    manifest: Manifest = field(repr=False)
    skipped: list[str] = field(repr=False)
    latents: StoredRows = field(repr=False)
    """``[N, views, C, h, w]`` float16, or uint8 where the latents are pictures."""
    keys: np.ndarray = field(repr=False)
    """``[N]`` strings: the hash of each picture's content."""
    moments: np.ndarray = field(repr=False)
    """``[N, 2, C]`` float64: mean and variance of each picture's channels."""
    scales: dict[str, ChannelStatistics] = field(repr=False)
    """What each dataset is normalised by: statistics of the whole store, also where only a part was selected."""
    encoded: int = 0

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "LatentStore":
        """Open a finished store. No latents are read yet.

        Raises:
            LCMemError: Not a store, unfinished, damaged, or a shard is missing or truncated.
        """
        store = Store.open(Path(folder), KIND)
        if not len(store.index):
            raise LCMemError(f"{folder}: unfinished, there is no index; run the same lcmem encode again, it goes on")
        index = store.index.read()
        manifest = Manifest(index.drop(columns=[*OWN, *MOMENTS]))
        moments = np.stack([np.stack(index[name]) for name in MOMENTS], axis=1)
        return cls(
            store.folder,
            store.card,
            manifest,
            list(read_skipped(store.folder)["reason"]),
            store.rows(index[["shard", "row"]].to_numpy(dtype=np.int64)),
            index["sha256"].to_numpy(dtype=object),
            moments,
            _scales(manifest.table, moments),
        )

    @property
    def views(self) -> int:
        """1 for the pictures as they are, 2 with their mirror images."""
        return self.card.shape[0]

    @property
    def size(self) -> int:
        """Side in pixels of the square that pictures were squeezed into."""
        return int(self.card.maker["size"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one latent, ``(C, h, w)``."""
        _, channels, height, width = self.card.shape
        return channels, height, width

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
        part, latents = self.manifest.rows(positions), self.latents.select(positions)
        return replace(self, manifest=part, latents=latents, moments=self.moments[positions], keys=self.keys[positions])

    @property
    def holds_pictures(self) -> bool:
        """Whether the latents are the pictures themselves, as bytes."""
        return self.card.dtype == "uint8"

    def pictures(self, positions: np.ndarray) -> np.ndarray:
        """Pictures ``[n, 3, size, size]`` uint8: from here, or decoded from their files.

        Raises:
            PictureError: A file cannot be read.
        """
        if self.holds_pictures:
            return self.latents.take(positions, np.zeros(len(positions), dtype=np.int64))
        return np.stack([load_levels(self.manifest.paths[at], self.size) for at in positions])

    def check(self, encoder: EncoderCard, size: int, *, mirror: bool) -> None:
        """Whether it serves a training.

        Raises:
            LCMemError: Its latents are of another encoder or size, or mirror images are missing.
        """
        self.card.check_same(latent_card(encoder, size, 2 if mirror else self.views), self.folder)

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
        views = np.broadcast_to(view, len(positions))
        if (views >= self.views).any():
            raise LCMemError(f"{self.folder}: holds no mirror images; rebuild it with lcmem encode --mirror")
        latents = self.latents.take(positions, views).astype(np.float32)
        if self.holds_pictures:
            latents /= 255
        if normalise:
            names = self.manifest.table["dataset"].to_numpy()[positions]
            for name in set(names):
                latents[names == name] = self.scales[name].normalise(latents[names == name])
        return torch.from_numpy(latents)

    def statistics(self) -> ChannelStatistics:
        """Over all pictures of this store, or of this part of it; first views only."""
        return merge_moments(self.moments[:, 0], self.moments[:, 1])

    def statistics_by_dataset(self) -> dict[str, ChannelStatistics]:
        """Mean and standard deviation for each dataset, in alphabetical order."""
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
