"""The interface of every frozen autoencoder."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EncoderCard:
    """What is known about an autoencoder.

    Attributes:
        name: How reports and checkpoints call it.
        source: What ``load_encoder`` takes to load it again: a bundled name, a folder or a hub id.
        sha256: Of its weights.
        licence: Of its weights.
        channels: Channels of a latent.
        downsample: Pixels of a picture for each pixel of its latent, along one side.
        input_range: The pictures that the autoencoder itself is given: ``symmetric`` ones in [−1, 1], or ``unit`` ones
            in [0, 1] (the official code).
        latents: What training sees where there is a posterior: its ``mode``, or a random ``sample`` (the official
            code). A detector always takes the mode.
    """

    name: str
    source: str
    sha256: str
    licence: str
    channels: int
    downsample: int
    input_range: str = "symmetric"
    latents: str = "mode"

    def to_dict(self) -> dict[str, str | int]:
        """As JSON-ready values."""
        return asdict(self)


class LatentEncoder(nn.Module, ABC):
    """A frozen autoencoder: pictures to latents, deterministically, and back."""

    card: EncoderCard

    @abstractmethod
    def encode(self, pictures: Tensor) -> Tensor:
        """Map pictures ``[B, 3, H, W]`` in [0, 1] to latents ``[B, C, H / downsample, W / downsample]``."""

    def sample(self, pictures: Tensor) -> Tensor:
        """As :meth:`encode`, but a random sample where there is a posterior: the official code trains on it."""
        return self.encode(pictures)

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Map latents back to pictures ``[B, 3, H, W]`` in [0, 1]."""

    def round_trip(self, pictures: Tensor) -> Tensor:
        """What is left of pictures ``[B, 3, H, W]`` in [0, 1] once they were latents."""
        return self.decode(self.encode(pictures))


def weights_sha256(module: nn.Module, *, saved: bool = False) -> str:
    """A fingerprint of a module's parameters and buffers: names, types, shapes and values.

    Args:
        module: What has them.
        saved: As they are once they were saved (in float16) and loaded again.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        tensor = tensor.half().to(tensor.dtype) if saved else tensor
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def psnr(reconstruction: Tensor, pictures: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture, ``[B]``; both ``[B, 3, H, W]`` in [0, 1]."""
    return -10 * (reconstruction - pictures).square().mean((1, 2, 3)).clamp_min(1e-10).log10()
