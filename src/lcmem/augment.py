"""What training changes by chance: latents in stage 1 (by default nothing), pictures in stage 2."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lcmem import edits


@dataclass(frozen=True)
class LatentAugmentation:
    """How far normalised latents are changed; every change of every sample with a strength of its own.

    The paper trains stage 1 without; its ablation (table 4) tries rotation, flip, blur and noise.

    Attributes:
        degrees: Largest rotation either way.
        zoom: Largest zoom either way, as a share.
        shift: Largest shift either way, as a share of the side.
        flip: Probability of a mirror image (of the latent; not quite the latent of the mirror image).
        blur_sigma: Largest blur, in latent pixels.
        noise_sigma: Largest standard deviation of noise.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    degrees: float = 0
    zoom: float = 0
    shift: float = 0
    flip: float = 0
    blur_sigma: float = 0
    noise_sigma: float = 0

    @property
    def changes(self) -> bool:
        """Whether it does anything at all."""
        return self != LatentAugmentation()

    def __call__(self, latents: Tensor) -> Tensor:
        """Change each of ``[B, C, h, w]`` in its own way, with torch's random numbers."""
        batch, device = len(latents), latents.device
        if self.degrees or self.zoom or self.shift or self.flip:
            latents = edits.warp(latents, self._matrix(batch, device))
        if self.blur_sigma:
            latents = edits.smooth(latents, self.blur_sigma * torch.rand(batch, device=device))
        if self.noise_sigma:
            strength = self.noise_sigma * torch.rand(batch, 1, 1, 1, device=device)
            latents = latents + strength * torch.randn_like(latents)
        return latents

    def _matrix(self, batch: int, device: torch.device) -> Tensor:
        angle, scale, *shift = 2 * torch.rand(4, batch, device=device) - 1
        angle, scale = torch.deg2rad(self.degrees * angle), 1 + self.zoom * scale
        cos, sin = scale * angle.cos(), scale * angle.sin()
        mirror = torch.where(torch.rand(batch, device=device) < self.flip, -1.0, 1.0)
        # affine_grid measures from −1 to 1: a share of the side is twice as much there
        rows = (mirror * cos, -sin, 2 * self.shift * shift[0]), (mirror * sin, cos, 2 * self.shift * shift[1])
        return torch.stack([torch.stack(row, 1) for row in rows], 1)


@dataclass(frozen=True)
class Augmentation:
    """How far stage 2 edits a picture (paper, section 3.1 and appendix B; crop, shrinking and grey are ours).

    Each edit happens with probability ``probability`` (flip and grey: their own; blur and shrinking: half of it), with
    a strength drawn evenly from its range.

    Attributes:
        probability: Of each edit but the flip.
        flip: Probability of a mirror image.
        degrees: Largest rotation either way.
        blur_sigma: Largest blur, in pixels of a 256-pixel picture.
        noise_sigma: Largest noise, in a range of [0, 1].
        gain: Largest factor of brightness and of contrast, and its inverse the smallest. (A factor range of 1.0 to
            1.0, as in the official code, changes nothing.)
        quality: Lowest and highest JPEG quality; None for no JPEG.
        min_side: Smallest share of the side that a crop keeps; 1 means no crops.
        max_downscale: Largest factor by which a picture is shrunk and enlarged again; 1 means none.
        grey: Probability of losing the colours.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    probability: float = 0.5
    flip: float = 0.5
    degrees: float = 20
    blur_sigma: float = 4
    noise_sigma: float = 0.2
    gain: float = 2
    quality: tuple[int, int] | None = (10, 95)
    min_side: float = 0.5
    max_downscale: float = 4
    grey: float = 0.1

    def __call__(self, pictures: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Edit each picture of ``[B, 3, H, W]`` in its own way."""
        edited = pictures.clone()
        for probability, edit in self._edits(generator):
            chosen = torch.rand(len(edited), generator=generator) < probability
            if chosen.any():
                edited[chosen] = edit(edited[chosen])
        return edited

    def _edits(self, generator: torch.Generator | None) -> list[tuple[float, Callable[[Tensor], Tensor]]]:
        """Probability and function of each edit, in the order in which they are applied."""

        def uniform(low: float, high: float, count: int) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=generator)

        def gain(count: int) -> Tensor:
            return self.gain ** uniform(-1, 1, count)

        def zoom(batch: Tensor) -> Tensor:
            count = len(batch)
            return edits.crop(batch, uniform(self.min_side, 1, count), uniform(0, 1, count), uniform(0, 1, count))

        def shrink(batch: Tensor) -> Tensor:
            return edits.downscale(batch, float(uniform(1, self.max_downscale, 1)))

        low, high = self.quality or (100, 100)
        often = self.probability
        return [
            (self.flip, edits.flip),
            (often * (self.degrees > 0), lambda x: edits.rotate(x, uniform(-self.degrees, self.degrees, len(x)))),
            (often * (self.min_side < 1), zoom),
            (often * (self.gain != 1), lambda x: edits.brightness(x, gain(len(x)))),
            (often * (self.gain != 1), lambda x: edits.contrast(x, gain(len(x)))),
            (self.grey, edits.grey),
            (often / 2 * (self.blur_sigma > 0), lambda x: edits.blur(x, uniform(0, self.blur_sigma, len(x)))),
            (often / 2 * (self.max_downscale > 1), shrink),
            (often * (self.noise_sigma > 0), lambda x: edits.noise(x, uniform(0, self.noise_sigma, len(x)), generator)),
            (often * (self.quality is not None), lambda x: edits.jpeg(x, uniform(low, high, len(x)))),
        ]
