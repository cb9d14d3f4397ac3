"""Latents of pictures, made once."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.devices import batch_size as suited
from lcmem.devices import fast_bfloat16
from lcmem.encoders import LatentEncoder
from lcmem.encoders.pixels import PIXELS
from lcmem.errors import LCMemError
from lcmem.latents.statistics import picture_moments
from lcmem.latents.store import MOMENTS, LatentStore, latent_card
from lcmem.pictures.loading import iterate_pictures, to_float
from lcmem.pictures.manifest import Manifest
from lcmem.store import Encoded, Filled, Store, fill
from lcmem.store.index import OWN, write_skipped

CHUNK = 1024
"""Latents whose moments are worked out at once."""


def encode_pictures(pictures: Tensor, encoder: LatentEncoder, device: torch.device | str = "cpu") -> Tensor:
    """What training sees of uint8 pictures ``[B, 3, H, W]``: latents ``[B, C, h, w]`` in float32.

    Inside they are bfloat16 where the device is quick at it.
    The mode of the posterior or a sample of it, as the encoder's card says; a detector always takes the mode.
    """
    encode = encoder.sample if encoder.card.latents == "sample" else encoder.encode
    kind, fast = torch.device(device).type, fast_bfloat16(device)
    with torch.no_grad(), torch.autocast(kind, torch.bfloat16, enabled=fast):
        return encode(to_float(pictures.to(device))).float()


def build_store(
    manifest: Manifest,
    encoder: LatentEncoder,
    size: int,
    folder: str | Path,
    *,
    mirror: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    device: torch.device | str = "cpu",
) -> LatentStore:
    """Encode every picture (paper, section 3.1), or only what an earlier, perhaps killed run has not encoded.

    A picture whose path and file stamp are those of the last index is not even opened. Any other is hashed, and
    encoded only if no picture of the same content is stored. Nothing is ever removed from the shards.

    Args:
        manifest: The pictures.
        encoder: The frozen autoencoder; it is moved to ``device``.
        size: Side in pixels of the square that pictures are squeezed into.
        folder: Of the store: a new one, or one of the same encoder, size and views.
        mirror: Whether to store each picture's mirror image as a second view.
        batch_size: Pictures to encode at once, what is lost at most when the run is killed; None suits the device.
        workers: Decoding processes. Default: see :func:`lcmem.pictures.loading.iterate_pictures`.
        device: Where to encode.

    Raises:
        LCMemError: The folder holds other latents or a damaged shard; a latent is not finite in float16; or no
            picture could be read.
    """
    store = Store.claim(Path(folder), latent_card(encoder.card, size, 2 if mirror else 1))
    batches = partial(iterate_pictures, size=size, batch_size=batch_size or suited(device), workers=workers)
    encoder.to(device)

    def encode(paths: list[str]) -> Iterator[Encoded]:
        for batch in batches(paths):
            views = (batch.pictures, batch.pictures.flip(-1))[: store.card.shape[0]] if batch.indices else ()
            rows = torch.stack([_row(view, encoder, device) for view in views], 1).numpy() if views else np.empty(0)
            yield Encoded(batch.indices, rows, batch.failures)

    done = fill(store, manifest.paths, encode, title="encoding pictures")
    if not len(done.stored):
        raise LCMemError(f"none of the {len(manifest)} pictures could be read, for example {done.skipped[0][1]}")
    _record(store, manifest, done)
    return replace(LatentStore.open(folder), encoded=done.encoded)


def _row(pictures: Tensor, encoder: LatentEncoder, device: torch.device | str) -> Tensor:
    """What is stored of uint8 pictures: float16 latents, or their bytes where there is nothing to encode."""
    if encoder.card.name == PIXELS:
        return pictures
    return encode_pictures(pictures, encoder, device).half().cpu()


def _record(store: Store, manifest: Manifest, done: Filled) -> None:
    """Write the index and the list of skipped pictures; with the index the store is finished."""
    pictures = manifest.rows(done.stored).table.drop(columns=[*OWN, *MOMENTS], errors="ignore")
    contents = done.pictures[["stamp", "sha256"]]
    moments = _moments(store, done.keys)
    write_skipped(store.folder, done.contents)
    store.record(pd.concat((pictures, contents, moments), axis=1))


def _moments(store: Store, keys: list[str]) -> pd.DataFrame:
    """Mean and variance of each picture's channels, two columns of lists ``[C]``; latents are read only once for it."""
    known = store.index.read(["sha256", *MOMENTS]).drop_duplicates("sha256").set_index("sha256")
    new = [key for key in dict.fromkeys(keys) if key not in known.index]
    rows, found = store.of(new), []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK][:, 0]
        found += list(zip(*picture_moments(part, 255 if part.dtype == np.uint8 else 1), strict=True))
    fresh = pd.DataFrame({name: [each[at] for each in found] for at, name in enumerate(MOMENTS)}, index=new)
    return pd.concat((known, fresh)).loc[keys].reset_index(drop=True)
