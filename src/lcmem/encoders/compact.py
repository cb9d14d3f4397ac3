"""The bundled compact autoencoder: 8× downsampling, 4 latent channels, cheap on a CPU."""

import torch.nn.functional as F
from torch import Tensor, nn

from lcmem.encoders.base import EncoderCard, LatentEncoder


class ConvBlock(nn.Module):
    """Residual block: a 3×3 and a 1×1 convolution. Without normalisation, so a pixel keeps its absolute value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, width, H, W]`` to the same shape."""
        # in place: fresh memory for large maps takes its time
        return self.mix(F.silu(self.spatial(x), inplace=True)).add_(x)


class CompactAutoencoder(LatentEncoder):
    """Space-to-depth first: a 3-channel convolution at full resolution is what makes the usual autoencoders slow.

    Args:
        widths: Channels at 1/4 and at 1/8 of the picture's resolution.
        depths: Residual blocks at these two levels; the decoder has one more at the deeper level.
        channels: Latent channels.
    """

    def __init__(
        self, widths: tuple[int, int] = (64, 128), depths: tuple[int, int] = (2, 2), channels: int = 4
    ) -> None:
        super().__init__()
        (shallow, deep), (n_shallow, n_deep) = widths, depths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, shallow, 3, padding=1),
            *(ConvBlock(shallow) for _ in range(n_shallow)),
            nn.Conv2d(shallow, deep, 2, stride=2),
            *(ConvBlock(deep) for _ in range(n_deep)),
            nn.Conv2d(deep, channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, deep, 3, padding=1),
            *(ConvBlock(deep) for _ in range(n_deep + 1)),
            nn.Conv2d(deep, 4 * shallow, 1),
            nn.PixelShuffle(2),
            *(ConvBlock(shallow) for _ in range(n_shallow)),
            nn.Conv2d(shallow, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )
        self.settings = {"widths": list(widths), "depths": list(depths), "channels": channels}
        self.card = EncoderCard("compact", "untrained", "", "Apache-2.0", channels, 8)

    def encode(self, pictures: Tensor) -> Tensor:
        """Map pictures ``[B, 3, H, W]`` in [0, 1] (sides a multiple of 8) to latents ``[B, C, H/8, W/8]``."""
        return self.encoder((2 * pictures).sub_(1))

    def decode(self, latents: Tensor) -> Tensor:
        """Map latents back to pictures in [0, 1]."""
        return self.reconstruct(latents).clamp(0, 1)

    def reconstruct(self, latents: Tensor) -> Tensor:
        """The decoder without the final clamp, so that a loss on it has a gradient everywhere."""
        return (self.decoder(latents) + 1) / 2
