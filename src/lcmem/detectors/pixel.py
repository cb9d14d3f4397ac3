"""Pixel-wise baselines of the paper's table 2: MSE, NCC and SSIM. Higher always means more alike."""

from collections.abc import Callable

import numpy as np

from lcmem.errors import LCMemError

PairScore = Callable[[np.ndarray, np.ndarray], float]


def negative_mse(a: np.ndarray, b: np.ndarray) -> float:
    """Minus the mean squared error of two ``[3, H, W]`` float pictures."""
    return -float(np.square(a - b).mean())


def ncc(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised cross-correlation of two ``[3, H, W]`` float pictures; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 1e-12 else 0.0


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) of the channel means of two ``[3, H, W]`` float pictures in [0, 1]."""
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise LCMemError("SSIM needs scikit-image: pip install 'lcmem[benchmark]'") from error
    return float(structural_similarity(a.mean(0), b.mean(0), data_range=1.0))


PIXEL_DETECTORS: dict[str, PairScore] = {"mse": negative_mse, "ncc": ncc, "ssim": ssim}
