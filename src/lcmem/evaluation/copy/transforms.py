"""How the copy benchmark edits pictures: every transform, one function each, and its strengths."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lcmem import edits
from lcmem.augment import Augmentation
from lcmem.pictures.loading import to_float
from lcmem.store import StoredRows


@dataclass(frozen=True)
class Draw:
    """What a random edit of one picture draws from.

    Attributes:
        generator: Random numbers of this picture, transform and strength.
        pool: uint8 pictures ``[P, 3, S, S]`` that may stand beside it in a collage.
    """

    generator: torch.Generator
    pool: np.ndarray | StoredRows

    def uniform(self) -> Tensor:
        """One number in [0, 1), as ``[1]``."""
        return torch.rand(1, generator=self.generator)

    def others(self, count: int) -> Tensor:
        """Pictures of the pool, ``[1, count, 3, S, S]``."""
        rows = torch.randint(len(self.pool), (count,), generator=self.generator).numpy()
        return to_float(torch.from_numpy(self.pool[rows]))[None]


Edit = Callable[[Tensor, Tensor, Draw], Tensor]
"""Maps a picture ``[1, 3, S, S]`` in [0, 1] and a strength ``[1]`` to the same shape."""


class Transform(NamedTuple):
    """How pictures are edited.

    Attributes:
        strengths: From the weakest to the strongest.
        edit: What edits.
        pool: Whether it shows pictures of the pool, so that copies depend on which these are.
    """

    strengths: tuple[float, ...]
    edit: Edit
    pool: bool


TRANSFORMS: dict[str, Transform] = {}
"""Every transform by name, in the order of the tables; the paper's come first."""

PAPER = ("blur", "noise", "rotation", "brightness", "contrast", "jpeg")
"""The transforms of the paper's figures 4 and 5."""


def transform(*strengths: float, name: str = "", pool: bool = False) -> Callable[[Edit], Edit]:
    """Make a function a transform of the benchmark.

    Args:
        *strengths: From the weakest to the strongest.
        name: In tables; without one the function's.
        pool: Whether it calls :meth:`Draw.others`.
    """

    def register(edit: Edit) -> Edit:
        TRANSFORMS[name or edit.__name__] = Transform(strengths, edit, pool)
        return edit

    return register


@transform(0.1, 1, 2, 6)
def blur(picture: Tensor, sigma: Tensor, _: Draw) -> Tensor:
    """Gaussian blur; ``sigma`` in pixels of a 256-pixel picture."""
    return edits.blur(picture, sigma)


@transform(0.01, 0.1, 0.2, 0.3)
def noise(picture: Tensor, sigma: Tensor, draw: Draw) -> Tensor:
    """Gaussian noise."""
    return edits.noise(picture, sigma, draw.generator)


@transform(5, 10, 20, 30)
def rotation(picture: Tensor, degrees: Tensor, _: Draw) -> Tensor:
    """Rotated about the centre."""
    return edits.rotate(picture, degrees)


@transform(1.1, 1.3, 1.6, 2)
def brightness(picture: Tensor, factor: Tensor, _: Draw) -> Tensor:
    """Brighter."""
    return edits.brightness(picture, factor)


@transform(1.1, 1.3, 1.6, 2)
def contrast(picture: Tensor, factor: Tensor, _: Draw) -> Tensor:
    """More contrast."""
    return edits.contrast(picture, factor)


@transform(95, 70, 40, 10)
def jpeg(picture: Tensor, quality: Tensor, _: Draw) -> Tensor:
    """Saved as JPEG."""
    return edits.jpeg(picture, quality)


@transform(0.9, 0.7, 0.5, 0.3)
def darkening(picture: Tensor, factor: Tensor, _: Draw) -> Tensor:
    """Darker."""
    return edits.brightness(picture, factor)


@transform(1)
def flip(picture: Tensor, _: Tensor, __: Draw) -> Tensor:
    """Left and right mirrored."""
    return edits.flip(picture)


@transform(0.7, 0.5, 0.3)
def crop(picture: Tensor, side: Tensor, draw: Draw) -> Tensor:
    """A square cut out anywhere; ``side`` as a share of the picture's."""
    return edits.crop(picture, side, draw.uniform(), draw.uniform())


@transform(2, 4, 8)
def downscale(picture: Tensor, factor: Tensor, _: Draw) -> Tensor:
    """Saved small."""
    return edits.downscale(picture, float(factor))


@transform(1)
def grey(picture: Tensor, _: Tensor, __: Draw) -> Tensor:
    """Without colours."""
    return edits.grey(picture)


@transform(0.1, 0.2)
def text(picture: Tensor, height: Tensor, draw: Draw) -> Tensor:
    """A word written on it; ``height`` as a share of the picture's."""
    return edits.overlay_text(picture, height, draw.uniform(), draw.uniform())


@transform(4, pool=True)
def collage(picture: Tensor, _: Tensor, draw: Draw) -> Tensor:
    """One of four pictures in one."""
    return edits.collage(picture, draw.others(3), torch.randint(4, (1,), generator=draw.generator))


@transform(0.7, name="crop+brightness+jpeg")
def crop_brightness_jpeg(picture: Tensor, side: Tensor, draw: Draw) -> Tensor:
    """Three edits, one after the other."""
    return edits.jpeg(edits.brightness(crop(picture, side, draw), torch.tensor([1.3])), torch.tensor([40]))


@transform(10, name="rotation+blur+grey")
def rotation_blur_grey(picture: Tensor, degrees: Tensor, _: Draw) -> Tensor:
    """Three edits, one after the other."""
    return edits.grey(edits.blur(edits.rotate(picture, degrees), torch.tensor([1.0])))


@transform(1, name="stage-2")
def stage_2(picture: Tensor, _: Tensor, draw: Draw) -> Tensor:
    """The random edits that LCMem is trained with."""
    return Augmentation()(picture, draw.generator)
