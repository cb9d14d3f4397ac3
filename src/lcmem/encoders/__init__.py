"""Frozen autoencoders: pictures to latents.

A package brings an encoder with an entry point of the group ``lcmem.encoders`` (see :mod:`lcmem.plugins`): a class or a
function that is called with the keyword ``allow_download`` and gives a :class:`lcmem.encoders.LatentEncoder`.
"""

import os
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import torch

from lcmem import plugins
from lcmem.checkpoints import CARD, blaming_card, load_weights, read_card, resolve_folder, save_checkpoint
from lcmem.devices import usable_device
from lcmem.encoders.base import EncoderCard, LatentEncoder, weights_sha256
from lcmem.encoders.compact import CompactAutoencoder
from lcmem.encoders.pixels import PIXELS, PixelEncoder
from lcmem.errors import CheckpointError

__all__ = ["CompactAutoencoder", "EncoderCard", "LatentEncoder", "load_encoder", "save_compact", "weights_sha256"]

BUNDLED_ENCODER = "compact-autoencoder"


def load_encoder(
    source: str | os.PathLike[str] = BUNDLED_ENCODER,
    *,
    device: str | torch.device = "cpu",
    input_range: str = "symmetric",
    latents: str = "mode",
    allow_download: bool = False,
) -> LatentEncoder:
    """Load a frozen autoencoder, in evaluation mode, without gradients.

    Args:
        source: ``compact-autoencoder`` (bundled), a folder that ``lcmem train autoencoder`` wrote, ``pixels`` (none at
            all), the name of an encoder that another package brings, or what :func:`lcmem.encoders.hub.load_diffusers`
            takes: ``sd-vae``, a diffusers folder or a hub id.
        device: Where to put it.
        input_range: ``symmetric`` or ``unit``, see :class:`EncoderCard`; for diffusers autoencoders.
        latents: ``mode`` or ``sample``, see :class:`EncoderCard`; for diffusers autoencoders.
        allow_download: Whether a hub id may be downloaded. Nothing touches the network otherwise.

    Raises:
        CheckpointError: Nothing to load, or damaged.
        LCMemError: A device that this machine does not have.
    """
    device, name = usable_device(device), os.fspath(source)
    if name == BUNDLED_ENCODER or (Path(name) / CARD).is_file():
        encoder: LatentEncoder = _load_compact(name)
    elif name == PIXELS:
        encoder = PixelEncoder()
    elif name in (brought := plugins.installed(plugins.ENCODERS)):
        encoder = _load_installed(brought[name], allow_download)
    else:
        from lcmem.encoders.hub import load_diffusers

        encoder = load_diffusers(name, input_range=input_range, latents=latents, allow_download=allow_download)
    return encoder.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _load_compact(name: str) -> CompactAutoencoder:
    folder = resolve_folder(name)
    card = read_card(folder, "autoencoder")
    with blaming_card(folder):
        encoder = CompactAutoencoder(**card["settings"]).float()  # whatever torch makes by default
    load_weights(folder, encoder)
    sha256 = weights_sha256(encoder)
    if sha256 != card["sha256"]:
        raise CheckpointError(f"{folder}: the weights are not those of the card (sha256 {sha256[:12]}…)")
    source = name if name == BUNDLED_ENCODER else str(folder.absolute())
    encoder.card = replace(encoder.card, name=card["name"], source=source, sha256=sha256, licence=card["licence"])
    return encoder


def _load_installed(point: EntryPoint, allow_download: bool) -> LatentEncoder:
    kind: type[LatentEncoder] = LatentEncoder  # type: ignore[type-abstract]
    encoder = plugins.load_plugin(point, kind, lambda make: make(allow_download=allow_download))
    encoder.card = replace(encoder.card, source=point.name)  # where a checkpoint finds it again
    return encoder


def save_compact(folder: str | os.PathLike[str], encoder: CompactAutoencoder, card: dict[str, object]) -> None:
    """Save a compact autoencoder as float16 with its card; what is loaded again is what the card's sha256 names."""
    head = {"kind": "autoencoder", "settings": encoder.settings, "sha256": weights_sha256(encoder, saved=True)}
    save_checkpoint(folder, encoder, head | card)
