"""Pixel-wise baselines of the paper's table 2: the features are the pixels."""

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import CosineDetector, Detector
from lcmem.errors import extra


class _Pixels(Detector):
    fingerprint = ""

    def embed(self, pictures: Tensor) -> Tensor:
        """The pixels themselves, ``[B, 3·S·S]`` uint8."""
        return pictures.flatten(1)


class NegativeMSE(_Pixels):
    """Minus the mean squared error of pixels in [0, 1]."""

    name = "mse"

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]``, at most 0."""
        return -(u.float() - v.float()).div(255).square().mean(1)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]``, at most 0."""
        return -torch.cdist(u.float() / 255, v.float() / 255).square() / u.shape[1]


class NCC(_Pixels, CosineDetector):
    """Normalised cross-correlation: the cosine of pixels without their mean; 0 where a picture is constant."""

    name = "ncc"

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]`` in [−1, 1]."""
        return super().similarity(_centred(u), _centred(v))

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]`` in [−1, 1]."""
        return super().similarities(_centred(u), _centred(v))


class SSIM(_Pixels):
    """Structural similarity (Wang et al. 2004) of the channel means."""

    name, exhaustive = "ssim", False

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]``, at most 1."""
        with extra("benchmark", "SSIM needs scikit-image"):
            from skimage.metrics import structural_similarity
        first, second = _greys(u), _greys(v)
        pairs = zip(first, second, strict=True)
        return torch.tensor([structural_similarity(a, b, data_range=1.0) for a, b in pairs], dtype=torch.float64)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]``; milliseconds for each pair."""
        return torch.stack([self.similarity(row.expand(len(v), -1), v) for row in u])


def _centred(pixels: Tensor) -> Tensor:
    pixels = pixels.float()
    return pixels - pixels.mean(1, keepdim=True)


def _greys(pixels: Tensor) -> np.ndarray:
    """Channel means ``[N, S, S]`` in [0, 1]."""
    side = int((pixels.shape[1] // 3) ** 0.5)
    return pixels.float().div(255).view(-1, 3, side, side).mean(1).numpy()
