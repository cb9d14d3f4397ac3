"""Perceptual hashes: the features are their bits."""

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import extra


class HashDetector(Detector):
    """Minus the share of bits that differ.

    Args:
        name: In tables and file names.
        bits: Makes the bits ``[D]`` of a uint8 picture ``[S, S, 3]``.
        fingerprint: Names the function and its version.
    """

    span = (-1.0, 0.0)

    def __init__(self, name: str, bits: Callable[[np.ndarray], np.ndarray], fingerprint: str) -> None:
        self.name, self.bits, self.fingerprint = name, bits, fingerprint

    def embed(self, pictures: Tensor) -> Tensor:
        """Bits ``[B, D]``, uint8."""
        rows = [self.bits(np.ascontiguousarray(picture)) for picture in pictures.permute(0, 2, 3, 1).numpy()]
        return torch.from_numpy(np.stack(rows).astype(np.uint8))

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N]`` in [−1, 0]."""
        return -(u != v).float().mean(1)

    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """``[N, M]`` in [−1, 0]."""
        return -torch.cdist(u.float(), v.float(), p=1) / u.shape[1]


def load_phash(name: str) -> HashDetector:
    """The DCT hash of 64 bits, as the package imagehash computes it.

    Raises:
        LCMemError: imagehash is not installed.
    """
    with extra("benchmark", f"{name} needs imagehash"):
        import imagehash
    from PIL import Image

    def bits(picture: np.ndarray) -> np.ndarray:
        return np.ravel(imagehash.phash(Image.fromarray(picture)).hash)

    return HashDetector(name, bits, f"imagehash-{version('imagehash')}")


def load_pdq(name: str) -> HashDetector:
    """Meta's hash of 256 bits; pictures without any structure all have the same.

    Raises:
        LCMemError: pdqhash is not installed.
    """
    with extra("pdq", f"{name} needs pdqhash (and a C++ compiler)"):
        import pdqhash

    def bits(picture: np.ndarray) -> np.ndarray:
        return np.asarray(pdqhash.compute(picture)[0])

    return HashDetector(name, bits, f"pdqhash-{version('pdqhash')}")
