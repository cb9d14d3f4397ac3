"""Pixel-wise baselines of the paper's table 2: the features are the pixels."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import extra

COLUMNS = 4096
"""Numbers of each picture that are worked on at once."""
TINY = 1e-12
"""Smaller than any product of norms unless a picture is constant."""


class _Pixels(Detector):
    fingerprint = ""

    def embed(self, pictures: Tensor) -> Tensor:
        """The pixels themselves, ``[B, 3·S·S]`` uint8."""
        return pictures.flatten(1)


class NegativeMSE(_Pixels):
    """Minus the mean squared error of pixels in [0, 1]."""

    name = "mse"
    span = (-1.0, 0.0)

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]`` float64, at most 0."""
        error = u.new_zeros(len(u), dtype=torch.float64)
        for a, b in _slices(u, v):
            error += (a - b).square().sum(1)
        return -error / (255**2 * u.shape[1])

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]`` float64, at most 0."""
        products, first, second = _products(u, v)
        return (2 * products - first[:, None] - second).clamp(max=0) / (255**2 * u.shape[1])


class NCC(_Pixels):
    """Normalised cross-correlation: the cosine of pixels without their mean; 0 where a picture is constant."""

    name = "ncc"

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]`` float64 in [−1, 1]."""
        sums = u.new_zeros(3, len(u), dtype=torch.float64)
        for a, b in _slices(u, v, _means(u), _means(v)):
            for total, values in zip(sums, (a * b, a.square(), b.square()), strict=True):
                total += values.sum(1)
        return _cosine(*sums)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]`` float64 in [−1, 1]."""
        products, first, second = _products(u, v, _means(u), _means(v))
        return _cosine(products, first[:, None], second)


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


def _slices(
    u: Tensor, v: Tensor, less_u: Tensor | float = 0, less_v: Tensor | float = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some columns of ``[N, D]`` and ``[M, D]`` at a time, as float32, less a number of each row.

    Float copies of whole pictures would leave the processor's cache, and most of the time would go into memory.
    """
    for a, b in zip(u.split(COLUMNS, 1), v.split(COLUMNS, 1), strict=True):
        yield a.float() - less_u, b.float() - less_v


def _products(u: Tensor, v: Tensor, less_u: Tensor | float = 0, less_v: Tensor | float = 0) -> tuple[Tensor, ...]:
    """Dot products ``[N, M]`` and squared norms ``[N]``, ``[M]``, summed up in float64."""
    products, first, second = (u.new_zeros(size, dtype=torch.float64) for size in ((len(u), len(v)), len(u), len(v)))
    for a, b in _slices(u, v, less_u, less_v):
        products += a @ b.T
        first += a.square().sum(1)
        second += b.square().sum(1)
    return products, first, second


def _means(u: Tensor) -> Tensor:
    """Mean of each row, ``[N, 1]``."""
    total = u.new_zeros(len(u), 1, dtype=torch.float64)
    for part in u.split(COLUMNS, 1):
        total += part.float().sum(1, keepdim=True)
    return (total / u.shape[1]).float()


def _cosine(products: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """From dot products and squared norms; 0 where one is nothing."""
    return (products / (first * second).sqrt().clamp(min=TINY)).clamp(-1, 1)


def _greys(pixels: Tensor) -> np.ndarray:
    """Channel means ``[N, S, S]`` in [0, 1]."""
    side = int((pixels.shape[1] // 3) ** 0.5)
    return pixels.float().div(255).view(-1, 3, side, side).mean(1).numpy()
