"""The network F: a U-Net of diffusers that is told a vector beside the noise level."""

from typing import Any

import torch
from torch import Tensor, nn

from lcmem.errors import LCMemError, extra
from lcmem.generation.diffusion.settings import Unet

EMBEDDED = 250.0
"""c_noise, about −1.5 to 1, times this: the sinusoids of diffusers are made for numbers of steps."""
GROUPS = 8


class ConditionalUnet(nn.Module):
    """F of EDM. The condition is projected and added to the embedding of the noise level.

    Args:
        settings: Its size.
        shape: Of the latents, ``(C, h, w)``.
        condition: Length K of the conditions; 0 for none.

    Raises:
        LCMemError: Latents whose sides cannot be halved often enough, or diffusers is not installed.
    """

    def __init__(self, settings: Unet, shape: tuple[int, int, int], condition: int) -> None:
        super().__init__()
        channels, height, width = shape
        levels = len(settings.multipliers)
        if height % 2 ** (levels - 1) or width % 2 ** (levels - 1):
            raise LCMemError(f"latents of {height}×{width} cannot be halved {levels - 1} times; take fewer multipliers")
        with extra("generation", "generators need diffusers"):
            from diffusers import UNet2DModel
        widths = tuple(settings.width * factor for factor in settings.multipliers)
        sides = [height // 2**level for level in range(levels)]
        attentive = [side == settings.attention for side in sides]
        down = tuple("AttnDownBlock2D" if each else "DownBlock2D" for each in attentive)
        up = tuple("AttnUpBlock2D" if each else "UpBlock2D" for each in reversed(attentive))
        unet: Any = UNet2DModel(
            sample_size=height,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=widths,
            layers_per_block=settings.blocks,
            down_block_types=down,
            up_block_types=up,
            norm_num_groups=GROUPS,
            attention_head_dim=None,
            class_embed_type="identity" if condition else None,
        )
        self.project = nn.Linear(condition, 4 * widths[0]) if condition else None
        nn.init.zeros_(unet.conv_out.weight)  # then D begins as c_skip·x, and the loss at 1
        nn.init.zeros_(unet.conv_out.bias)
        self.unet = unet

    def forward(self, scaled: Tensor, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Latents of the shape of ``scaled``; see :data:`lcmem.generation.diffusion.edm.Network`."""
        labels = None if self.project is None else self.project(torch.as_tensor(condition))
        found: Tensor = self.unet(scaled, EMBEDDED * noise, class_labels=labels).sample
        return found
