"""Autoencoders in the layout of diffusers: ``AutoencoderKL`` and ``AutoencoderTiny``, from a folder or a hub id."""

import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from lcmem.encoders.base import EncoderCard, LatentEncoder, weights_sha256
from lcmem.errors import CheckpointError, extra
from lcmem.hub import hub_access

KNOWN = {"sd-vae": ("stabilityai/sd-vae-ft-mse", "MIT")}
"""Short names: hub id and licence. ``sd-vae`` is the latent space of Stable Diffusion 1 and 2 (paper, section 3)."""

CLASSES = ("AutoencoderKL", "AutoencoderTiny")


class DiffusersEncoder(LatentEncoder):
    """A diffusers autoencoder. Latents are the mode of the posterior, never a sample, so scores do not change.

    Args:
        autoencoder: An ``AutoencoderKL`` or ``AutoencoderTiny``.
        name: See :class:`~lcmem.encoders.EncoderCard`, as for the rest.
        source: What it was loaded from.
        licence: Of its weights.
        used: The card's ``input_range`` and ``latents``.
    """

    def __init__(self, autoencoder: Any, name: str, source: str, licence: str, **used: str) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.tiny = type(autoencoder).__name__ == "AutoencoderTiny"
        config = autoencoder.config
        levels = len(config.encoder_block_out_channels if self.tiny else config.block_out_channels)
        self.card = EncoderCard(
            name, source, weights_sha256(autoencoder), licence, config.latent_channels, 2 ** (levels - 1), **used
        )

    def encode(self, pictures: Tensor) -> Tensor:
        """Map pictures ``[B, 3, H, W]`` in [0, 1] to latents; the autoencoder itself is given [−1, 1]."""
        encoded = self.autoencoder.encode(self._scaled(pictures))
        return encoded.latents if self.tiny else encoded.latent_dist.mode()

    def sample(self, pictures: Tensor) -> Tensor:
        """As :meth:`encode`, but a random sample of the posterior."""
        encoded = self.autoencoder.encode(self._scaled(pictures))
        return encoded.latents if self.tiny else encoded.latent_dist.sample()

    def _scaled(self, pictures: Tensor) -> Tensor:
        return pictures if self.card.input_range == "unit" else 2 * pictures - 1

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents back to pictures in [0, 1]."""
        decoded = self.autoencoder.decode(latents).sample
        return (decoded if self.card.input_range == "unit" else (decoded + 1) / 2).clamp(0, 1)


def load_diffusers(
    source: str, *, input_range: str = "symmetric", latents: str = "mode", allow_download: bool = False
) -> DiffusersEncoder:
    """Load an autoencoder that diffusers knows.

    Args:
        source: ``sd-vae``, a folder with ``config.json`` and safetensors weights (a whole pipeline's folder works
            too: its ``vae`` is taken), or a hub id.
        input_range: ``symmetric`` or ``unit``, see :class:`~lcmem.encoders.EncoderCard`.
        latents: ``mode`` or ``sample``, see :class:`~lcmem.encoders.EncoderCard`.
        allow_download: Whether a hub id that is not in the local cache may be downloaded.

    Raises:
        LCMemError: diffusers is not installed.
        CheckpointError: Nothing to load under that name, or not an autoencoder.
    """
    with extra("hub", "this encoder needs diffusers"):
        import diffusers
    place, licence = KNOWN.get(source, (source, "see its source"))
    options: dict[str, Any] = {"use_safetensors": True}
    if Path(place).is_dir():
        if (Path(place) / "vae" / "config.json").is_file():
            place = os.path.join(place, "vae")
        name = _class_name(Path(place))
    else:
        options["local_files_only"] = not allow_download
        name = CLASSES[0]
    try:
        with hub_access(allow_download):
            autoencoder = getattr(diffusers, name).from_pretrained(place, **options)
    except Exception as error:  # OSError, ValueError or a hub error, by what is missing
        hint = "" if allow_download or Path(place).is_dir() else "; to download it, say so: --download"
        raise CheckpointError(f"{source}: no autoencoder could be loaded from {place} ({error}){hint}") from error
    used = {"input_range": input_range, "latents": latents}
    return DiffusersEncoder(autoencoder.eval(), source, source, licence, **used)


def _class_name(folder: Path) -> str:
    try:
        name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: no diffusers config.json in this folder") from error
    if name not in CLASSES:
        raise CheckpointError(f"{folder}: holds a {name}, expected {' or '.join(CLASSES)}")
    return name
