"""The filter on a generator's latents: nothing is decoded."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.devices import full_precision
from lcmem.encoders import LatentEncoder
from lcmem.encoders.pixels import PIXELS
from lcmem.errors import LCMemError
from lcmem.pictures.loading import to_levels

if TYPE_CHECKING:
    from lcmem.generation.filter import Against, PrivacyFilter, Verdicts


class LatentFilter:
    """A :class:`PrivacyFilter` for the latents ``[n, C, h, w]`` that an autoencoder's ``encode`` would give.

    Made by :meth:`PrivacyFilter.on_latents`.
    """

    def __init__(self, base: "PrivacyFilter", autoencoder: LatentEncoder | nn.Module) -> None:
        self.base, self.encoder = base, _as_encoder(autoencoder)
        self.network, self.shape = _latent_network(base.detector, self.encoder)

    def __call__(self, samples: Tensor, *, against: "Against | None" = None) -> "Verdicts":
        """Judge latents; see :meth:`PrivacyFilter.__call__`.

        Raises:
            LCMemError: Latents of another shape, or not finite.
        """
        expected = f"[n, {', '.join(map(str, self.shape))}]"
        if not isinstance(samples, Tensor):
            raise LCMemError(f"latents are a tensor {expected}, not a {type(samples).__name__}")
        if samples.ndim != 4 or tuple(samples.shape[1:]) != self.shape:
            raise LCMemError(f"latents of shape {tuple(samples.shape)}; the detector takes {expected}")
        if not bool(samples.isfinite().all()):
            raise LCMemError("the latents hold NaN or infinite values")
        place = self.network.mean.device
        with torch.inference_mode(), full_precision(place):
            features = self.network(samples.to(place, torch.float32)).cpu()
        with full_precision(features.device):
            return self.base.judge(features, against)

    @torch.inference_mode()
    def pictures(self, samples: Tensor) -> list[np.ndarray]:
        """The latents decoded to pictures ``[3, H, W]`` uint8."""
        place = next(self.encoder.parameters())
        decoded = self.encoder.decode(samples.to(place.device, place.dtype)).float().clamp(0, 1)
        return list(to_levels(decoded).cpu().numpy())


def _as_encoder(autoencoder: LatentEncoder | nn.Module) -> LatentEncoder:
    if isinstance(autoencoder, LatentEncoder):
        return autoencoder
    from lcmem.encoders.hub import CLASSES, DiffusersEncoder

    name = type(autoencoder).__name__
    if name not in CLASSES:
        raise LCMemError(f"a {name} is no autoencoder that is known here ({', '.join(CLASSES)})")
    return DiffusersEncoder(autoencoder, name, "given", "")


def _latent_network(detector: Detector, encoder: LatentEncoder) -> tuple[Any, tuple[int, int, int]]:
    """The detector's network and the shape of the latents that it takes."""
    if not isinstance(detector, LCMem) or detector.encoder.card.name == PIXELS:
        raise LCMemError(
            f"{detector.name} looks at pixels: give it pictures, or take a detector that was trained on the latents of "
            "this autoencoder (for compact-autoencoder: compact-latent)"
        )
    own, card = detector.encoder.card, encoder.card
    if own.sha256 != card.sha256:
        raise LCMemError(
            f"{detector.name} was trained on the latents of {own.name} (sha256 {own.sha256[:12]}…), these are of "
            f"{card.name} ({card.sha256[:12]}…; the same weights in another precision are others); give it pictures"
        )
    side = detector.size // own.downsample
    return detector.network, (own.channels, side, side)
