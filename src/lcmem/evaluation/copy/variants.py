"""How the copy benchmark edits pictures: every transform, its strengths, and copies that never come out differently."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem import edits
from lcmem.augment import Augmentation
from lcmem.errors import LCMemError
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.pictures.loading import to_float, to_levels
from lcmem.store import StoredRows


@dataclass(frozen=True)
class Chance:
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


Edit = Callable[[Tensor, Tensor, Chance], Tensor]
"""Maps a picture ``[1, 3, S, S]`` in [0, 1] and a strength ``[1]`` to the same shape."""


def _zoom(picture: Tensor, side: Tensor, chance: Chance) -> Tensor:
    return edits.crop(picture, side, chance.uniform(), chance.uniform())


def _collage(picture: Tensor, _: Tensor, chance: Chance) -> Tensor:
    return edits.collage(picture, chance.others(3), torch.randint(4, (1,), generator=chance.generator))


def _crop_brightness_jpeg(picture: Tensor, side: Tensor, chance: Chance) -> Tensor:
    brighter = edits.brightness(_zoom(picture, side, chance), torch.tensor([1.3]))
    return edits.jpeg(brighter, torch.tensor([40]))


def _rotation_blur_grey(picture: Tensor, degrees: Tensor, _: Chance) -> Tensor:
    return edits.grey(edits.blur(edits.rotate(picture, degrees), torch.tensor([1.0])))


PAPER = ("blur", "noise", "rotation", "brightness", "contrast", "jpeg")
"""The transforms of the paper's figures 4 and 5."""

TRANSFORMS: dict[str, tuple[tuple[float, ...], Edit]] = {
    "blur": ((0.1, 1, 2, 6), lambda x, sigma, _: edits.blur(x, sigma)),
    "noise": ((0.01, 0.1, 0.2, 0.3), lambda x, sigma, chance: edits.noise(x, sigma, chance.generator)),
    "rotation": ((5, 10, 20, 30), lambda x, degrees, _: edits.rotate(x, degrees)),
    "brightness": ((1.1, 1.3, 1.6, 2), lambda x, factor, _: edits.brightness(x, factor)),
    "contrast": ((1.1, 1.3, 1.6, 2), lambda x, factor, _: edits.contrast(x, factor)),
    "jpeg": ((95, 70, 40, 10), lambda x, quality, _: edits.jpeg(x, quality)),
    "darkening": ((0.9, 0.7, 0.5, 0.3), lambda x, factor, _: edits.brightness(x, factor)),
    "flip": ((1,), lambda x, _, __: edits.flip(x)),
    "crop": ((0.7, 0.5, 0.3), _zoom),
    "downscale": ((2, 4, 8), lambda x, factor, _: edits.downscale(x, float(factor))),
    "grey": ((1,), lambda x, _, __: edits.grey(x)),
    "text": ((0.1, 0.2), lambda x, height, chance: edits.overlay_text(x, height, chance.uniform(), chance.uniform())),
    "collage": ((4,), _collage),
    "crop+brightness+jpeg": ((0.7,), _crop_brightness_jpeg),
    "rotation+blur+grey": ((10,), _rotation_blur_grey),
    "stage-2": ((1,), lambda x, _, chance: Augmentation()(x, chance.generator)),
}
"""Strengths, from the weakest to the strongest, and the edit of each transform; the paper's come first."""


@dataclass(frozen=True)
class Variant:
    """A transform at one strength."""

    transform: str
    strength: float

    @property
    def name(self) -> str:
        """In file names."""
        return f"{self.transform}-{self.strength:g}"


MIX = Variant("stage-2", 1)
"""The edits that LCMem is trained with; also of the copies that thresholds are taken from."""


def variants_of(transforms: Sequence[str] | None = None) -> list[Variant]:
    """Every strength of some transforms, by default of all.

    Raises:
        LCMemError: There is no such transform.
    """
    for name in transforms or ():
        if name not in TRANSFORMS:
            raise LCMemError(f"no transform {name!r} (there are: {', '.join(TRANSFORMS)})")
    return [Variant(name, strength) for name in transforms or TRANSFORMS for strength in TRANSFORMS[name][0]]


def edited_copy(picture: Tensor, key: str, variant: Variant, pool: np.ndarray | StoredRows) -> Tensor:
    """An edited copy that depends on nothing but the picture, its key, the variant and the pool.

    Args:
        picture: uint8 ``[3, S, S]``.
        key: Its content hash, which the random numbers are derived from.
        variant: What is done to it.
        pool: See :class:`Chance`.

    Returns:
        uint8 ``[3, S, S]``, as a file would hold it.
    """
    seed = int.from_bytes(hashlib.sha256(f"{key} {variant.name}".encode()).digest()[:7], "big")
    _, edit = TRANSFORMS[variant.transform]
    chance = Chance(torch.Generator().manual_seed(seed), pool)
    edited = edit(to_float(picture[None]), torch.tensor([float(variant.strength)]), chance)
    return to_levels(edited[0]).contiguous()


class EditedCopies:
    """Edited copies of some pictures, made when they are first asked for.

    Args:
        pictures: The originals.
        variant: What is done to them.
        pool: Pictures that may stand beside them in a collage: none of the originals, or they would be copied too.

    Attributes:
        name: Names all that the copies depend on but the originals, for the names of files.
    """

    def __init__(self, pictures: BenchmarkPictures, variant: Variant, pool: BenchmarkPictures) -> None:
        self.pictures, self.variant, self.pool = pictures, variant, pool
        beside = hashlib.sha256("\n".join(pool.keys).encode()).hexdigest()[:8]
        self.name = f"{pictures.size}px-{variant.name}" + (f"-{beside}" if variant.transform == "collage" else "")
        self._copies = torch.empty(pictures.pixels.shape, dtype=torch.uint8)
        self._made = np.zeros(len(pictures), dtype=bool)

    def at(self, rows: np.ndarray) -> Tensor:
        """Copies of the pictures at these positions ``[B]``, uint8 ``[B, 3, S, S]``."""
        for row in rows[~self._made[rows]]:
            original = torch.from_numpy(self.pictures.pixels[row].copy())
            self._copies[row] = edited_copy(original, self.pictures.keys[row], self.variant, self.pool.pixels)
            self._made[row] = True
        return self._copies[rows]
