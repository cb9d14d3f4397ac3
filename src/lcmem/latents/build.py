"""Filling a latent store: only pictures whose content it does not hold yet are encoded."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lcmem.devices import fast_bfloat16
from lcmem.encoders import LatentEncoder
from lcmem.errors import LCMemError
from lcmem.latents.card import CARD, StoreCard
from lcmem.latents.index import known_contents, write_index
from lcmem.latents.shards import stored_rows
from lcmem.latents.store import LatentStore
from lcmem.latents.writer import ShardWriter, recover_shards
from lcmem.pictures.content import content_table
from lcmem.pictures.loading import PictureBatch, iterate_pictures, to_float
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar


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
    batch_size: int = 64,
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
        batch_size: Pictures to encode at once; what is lost at most when the run is killed.
        workers: Decoding processes. Default: see :func:`lcmem.pictures.loading.iterate_pictures`.
        device: Where to encode.

    Raises:
        LCMemError: The folder holds other latents or a damaged shard; a latent is not finite in float16; or no
            picture could be read.
    """
    folder = Path(folder)
    card = _claim(folder, StoreCard.of(encoder.card, size, 2 if mirror else 1))
    recover_shards(folder, card)
    contents = content_table(manifest.paths, known_contents(folder))
    wanted = contents[contents["reason"] == ""].drop_duplicates("sha256")
    missing = wanted[~wanted["sha256"].isin(stored_rows(folder, card).index)]
    failures: dict[str, str] = {}
    with (
        ShardWriter(folder, card) as writer,
        progress_bar("encoding pictures", len(wanted), done=len(wanted) - len(missing)) as advance,
    ):
        for batch in iterate_pictures(list(missing["path"]), size, batch_size=batch_size, workers=workers):
            _encode_batch(batch, missing, encoder.to(device), writer, device)
            failures |= {missing["sha256"].iloc[at]: reason for at, reason in batch.failures}
            advance(len(batch.indices) + len(batch.failures))
    reasons = zip(contents["reason"], contents["sha256"], strict=True)
    contents["reason"] = [reason or failures.get(sha256, "") for reason, sha256 in reasons]
    write_index(folder, manifest, contents, stored_rows(folder, card))
    return replace(LatentStore.open(folder), encoded=len(missing) - len(failures))


def _claim(folder: Path, card: StoreCard) -> StoreCard:
    """The card of the store in this folder: the one that is there, or this one for a new store."""
    if (folder / CARD).exists():
        found = StoreCard.read(folder)
        found.check_same(card, folder)
        return found
    folder.mkdir(parents=True, exist_ok=True)
    card.write(folder)
    return card


def _encode_batch(
    batch: PictureBatch,
    missing: pd.DataFrame,
    encoder: LatentEncoder,
    writer: ShardWriter,
    device: torch.device | str,
) -> None:
    """Encode the pictures of a batch in all views and store them."""
    if not batch.indices:
        return
    part = missing.iloc[batch.indices]
    views = (batch.pictures, batch.pictures.flip(-1))[: writer.card.views]
    latents = torch.stack([encode_pictures(view, encoder, device) for view in views], 1).half().cpu()
    finite = latents.flatten(1).isfinite().all(1).numpy()
    if not finite.all():
        raise LCMemError(
            f"{part['path'][~finite].iloc[0]}: its latent by {encoder.card.name} is not finite, or too large for "
            "float16; leave the picture out of the manifest or take another encoder"
        )
    writer.append(list(part["sha256"]), latents.numpy())
