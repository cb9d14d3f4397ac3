"""No autoencoder: the network sees pixels, as the paper's baselines and its ablation do."""

from torch import Tensor

from lcmem.encoders.base import EncoderCard, LatentEncoder

PIXELS = "pixels"


class PixelEncoder(LatentEncoder):
    """The latent of a picture is the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.card = EncoderCard(PIXELS, PIXELS, "", "", channels=3, downsample=1)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures ``[B, 3, H, W]``, as they are."""
        return pictures

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, 3, H, W]``, as they are."""
        return latents
