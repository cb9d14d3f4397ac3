"""Edits of pictures: what stage 2 is trained with and the copy benchmark looks for.

Every edit maps pictures ``[B, 3, H, W]`` in [0, 1] to the same shape and range. Strengths are given for each picture.
"""

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

WORD = "sample"
"""What is written over pictures."""


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
    coded = np.stack([jpeg_coded(picture, int(q)) for picture, q in zip(levels, quality, strict=True)])
    return torch.from_numpy(coded).permute(0, 3, 1, 2).contiguous().to(pictures.device, pictures.dtype).div_(255)


def jpeg_coded(levels: np.ndarray, quality: int) -> np.ndarray:
    """A picture ``[H, W, 3]`` uint8 saved as JPEG and read again."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def overlay_text(pictures: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Write a white word with a black rim; ``height`` ``[B]`` as a share of the side, at ``x``, ``y`` in [0, 1]."""
    written = pictures.clone()
    for picture, share, across, down in zip(written, height.tolist(), x.tolist(), y.tolist(), strict=True):
        letters, rim = _lettering(picture.shape[-2], picture.shape[-1], share, across, down)
        picture[:, rim] = 0
        picture[:, letters] = 1
    return written


def _lettering(rows: int, columns: int, share: float, x: float, y: float) -> list[Tensor]:
    """Which pixels ``[rows, columns]`` are letters, and which are letters or their rim."""
    font = ImageFont.load_default(max(1, round(share * rows)))
    rim = max(1, round(share * rows / 12))
    left, top, right, bottom = font.getbbox(WORD, stroke_width=rim)
    place = x * max(0, columns - (right - left)) - left, y * max(0, rows - (bottom - top)) - top
    masks = []
    for stroke in (0, rim):
        canvas = Image.new("1", (columns, rows))
        ImageDraw.Draw(canvas).text(place, WORD, fill=1, font=font, stroke_width=stroke)
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
