"""Statistics of latent channels: moments of each picture once, merged for any set of pictures."""

from dataclasses import dataclass

import numpy as np

from lcmem.model.siamese import TARGET_STD


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics over all latent pixels of some pictures.

    Attributes:
        mean: ``[C]`` float64.
        std: ``[C]`` float64, of the population (divided by n).
    """

    mean: np.ndarray
    std: np.ndarray

    def normalise(self, latents: np.ndarray) -> np.ndarray:
        """Latents ``[n, C, h, w]`` to mean 0 and standard deviation 0.5 (after EDM); a constant channel to 0."""
        gain = TARGET_STD / np.where(self.std > 0, self.std, TARGET_STD)
        shift, gain = self.mean.astype(np.float32), gain.astype(np.float32)
        return (latents - shift[:, None, None]) * gain[:, None, None]


def picture_moments(latents: np.ndarray, one: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean squared deviation from it, in float64, of every picture's channels.

    Args:
        latents: ``[n, C, h, w]``.
        one: What stands for 1 in them, 255 in bytes.

    Returns:
        Twice ``[n, C]``.
    """
    exact = latents.astype(np.float64)
    return exact.mean((2, 3)) / one, exact.var((2, 3)) / one**2


def merge_moments(means: np.ndarray, variances: np.ndarray) -> ChannelStatistics:
    """Statistics over pictures from the moments ``[n, C]`` of each.

    This is the parallel formula of Chan, Golub and LeVeque (1979) for parts of equal size. No large squares are
    subtracted from each other, so latents far from zero lose no digits.
    """
    return ChannelStatistics(means.mean(0), np.sqrt(variances.mean(0) + means.var(0)))
