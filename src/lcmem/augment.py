"""Edits of pictures: the stage-2 augmentations and the perturbations of the copy benchmark.

Every edit maps pictures ``[B, 3, H, W]`` in [0, 1] to the same shape and range. Strengths are given for each picture.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor


def rotate(pictures: Tensor, degrees: Tensor) -> Tensor:
    """Rotate about the centre by ``degrees`` ``[B]``; the corners repeat the border."""
    angle = torch.deg2rad(degrees)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    matrix = torch.stack((torch.stack((cos, -sin, zero), 1), torch.stack((sin, cos, zero), 1)), 1)
    return warp(pictures, matrix)


def crop(pictures: Tensor, side: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Cut out and enlarge a square of ``side`` ``[B]`` (share of the full side) at ``x``, ``y`` in [0, 1]."""
    zero = torch.zeros_like(side)
    centre_x, centre_y = (1 - side) * (2 * x - 1), (1 - side) * (2 * y - 1)
    matrix = torch.stack((torch.stack((side, zero, centre_x), 1), torch.stack((zero, side, centre_y), 1)), 1)
    return warp(pictures, matrix)


def warp(pictures: Tensor, matrix: Tensor) -> Tensor:
    """Sample pictures ``[B, C, H, W]`` at affinely moved places, ``matrix`` ``[B, 2, 3]``; the border repeats."""
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def flip(pictures: Tensor) -> Tensor:
    """Mirror left and right."""
    return pictures.flip(-1)


def blur(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with standard deviation ``sigma`` ``[B]`` in pixels of a 256-pixel picture."""
    return smooth(pictures, sigma * pictures.shape[-2] / 256).clamp(0, 1)


def smooth(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with standard deviation ``sigma`` ``[B]`` in pixels, of values of any range ``[B, C, H, W]``."""
    batch, channels, height, width = pictures.shape
    sigma = sigma.clamp_min(1e-3)
    radius = min(int(3 * float(sigma.max())) + 1, height - 1, width - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = F.pad(pictures, (radius,) * 4, mode="reflect").reshape(
        1, batch * channels, *[s + 2 * radius for s in (height, width)]
    )
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=batch * channels)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=batch * channels)
    return flat.reshape(pictures.shape)


def noise(pictures: Tensor, sigma: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add Gaussian noise with standard deviation ``sigma`` ``[B]``."""
    sample = torch.randn(pictures.shape, generator=generator, dtype=pictures.dtype, device=pictures.device)
    return (pictures + sigma[:, None, None, None] * sample).clamp(0, 1)


def brightness(pictures: Tensor, factor: Tensor) -> Tensor:
    """Multiply by ``factor`` ``[B]``; 1 changes nothing."""
    return (pictures * factor[:, None, None, None]).clamp(0, 1)


def contrast(pictures: Tensor, factor: Tensor) -> Tensor:
    """Stretch about each picture's mean grey by ``factor`` ``[B]``; 1 changes nothing."""
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return (mean + (pictures - mean) * factor[:, None, None, None]).clamp(0, 1)


def grey(pictures: Tensor) -> Tensor:
    """Replace the colours by their luminance (ITU-R BT.601)."""
    weights = pictures.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]
    return (pictures * weights).sum(1, keepdim=True).expand_as(pictures)


def downscale(pictures: Tensor, factor: float) -> Tensor:
    """Shrink by ``factor`` and enlarge again: the picture was saved small."""
    size = pictures.shape[-2:]
    small = F.interpolate(pictures, scale_factor=1 / factor, mode="bilinear", antialias=True)
    return F.interpolate(small, size=size, mode="bicubic").clamp(0, 1)


def jpeg(pictures: Tensor, quality: Tensor) -> Tensor:
    """Compress as JPEG with ``quality`` ``[B]`` (1 to 100)."""
    levels = (pictures * 255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    coded = np.stack([_jpeg(picture, int(q)) for picture, q in zip(levels, quality, strict=True)])
    return torch.from_numpy(coded).permute(0, 3, 1, 2).contiguous().to(pictures.device, pictures.dtype).div_(255)


def _jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def overlay_text(pictures: Tensor, height: Tensor, x: Tensor, y: Tensor, words: str = "sample") -> Tensor:
    """Write white ``words`` with a black rim; ``height`` ``[B]`` as a share of the side, at ``x``, ``y`` in [0, 1]."""
    written = pictures.clone()
    for picture, share, across, down in zip(written, height.tolist(), x.tolist(), y.tolist(), strict=True):
        letters, rim = _lettering(words, picture.shape[-2], picture.shape[-1], share, across, down)
        picture[:, rim] = 0
        picture[:, letters] = 1
    return written


def _lettering(words: str, rows: int, columns: int, share: float, x: float, y: float) -> list[Tensor]:
    """Which pixels ``[rows, columns]`` are letters, and which are letters or their rim."""
    font = ImageFont.load_default(max(1, round(share * rows)))
    rim = max(1, round(share * rows / 12))
    left, top, right, bottom = font.getbbox(words, stroke_width=rim)
    place = x * max(0, columns - (right - left)) - left, y * max(0, rows - (bottom - top)) - top
    masks = []
    for stroke in (0, rim):
        canvas = Image.new("1", (columns, rows))
        ImageDraw.Draw(canvas).text(place, words, fill=1, font=font, stroke_width=stroke)
        masks.append(torch.from_numpy(np.array(canvas)))
    return masks


def collage(pictures: Tensor, others: Tensor, quadrant: Tensor) -> Tensor:
    """Show each picture at half its size in ``quadrant`` ``[B]`` (0 to 3, as one reads) of a picture of four.

    ``others`` ``[B, 3, 3, H, W]`` fill the rest in their order.
    """
    tiles = torch.cat((pictures[:, None], others), 1).flatten(0, 1)
    half = (pictures.shape[-2] // 2, pictures.shape[-1] // 2)
    tiles = F.interpolate(tiles, half, mode="bilinear", antialias=True).unflatten(0, (-1, 4))
    order = [[*range(1, at + 1), 0, *range(at + 1, 4)] for at in quadrant.tolist()]
    upper_left, upper_right, lower_left, lower_right = tiles[torch.arange(len(tiles))[:, None], order].unbind(1)
    upper, lower = torch.cat((upper_left, upper_right), -1), torch.cat((lower_left, lower_right), -1)
    return F.interpolate(torch.cat((upper, lower), -2), pictures.shape[-2:], mode="nearest").clamp(0, 1)


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

    def __call__(self, latents: Tensor) -> Tensor:
        """Change each of ``[B, C, h, w]`` in its own way, with torch's random numbers."""
        batch, device = len(latents), latents.device
        if self.degrees or self.zoom or self.shift or self.flip:
            latents = warp(latents, self._matrix(batch, device))
        if self.blur_sigma:
            latents = smooth(latents, self.blur_sigma * torch.rand(batch, device=device))
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
            return crop(batch, uniform(self.min_side, 1, count), uniform(0, 1, count), uniform(0, 1, count))

        low, high = self.quality or (100, 100)
        often = self.probability
        return [
            (self.flip, flip),
            (often * (self.degrees > 0), lambda x: rotate(x, uniform(-self.degrees, self.degrees, len(x)))),
            (often * (self.min_side < 1), zoom),
            (often * (self.gain != 1), lambda x: brightness(x, gain(len(x)))),
            (often * (self.gain != 1), lambda x: contrast(x, gain(len(x)))),
            (self.grey, grey),
            (often / 2 * (self.blur_sigma > 0), lambda x: blur(x, uniform(0, self.blur_sigma, len(x)))),
            (often / 2 * (self.max_downscale > 1), lambda x: downscale(x, float(uniform(1, self.max_downscale, 1)))),
            (often * (self.noise_sigma > 0), lambda x: noise(x, uniform(0, self.noise_sigma, len(x)), generator)),
            (often * (self.quality is not None), lambda x: jpeg(x, uniform(low, high, len(x)))),
        ]
