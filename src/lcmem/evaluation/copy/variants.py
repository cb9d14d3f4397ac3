"""Edited copies of pictures that never come out differently: each transform at each of its strengths."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem.errors import LCMemError
from lcmem.evaluation.copy.transforms import TRANSFORMS, Draw
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.pictures.loading import to_float, to_levels
from lcmem.store import StoredRows


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
    return [Variant(name, strength) for name in transforms or TRANSFORMS for strength in TRANSFORMS[name].strengths]


def edited_copy(picture: Tensor, key: str, variant: Variant, pool: np.ndarray | StoredRows) -> Tensor:
    """An edited copy that depends on nothing but the picture, its key, the variant and the pool.

    Args:
        picture: uint8 ``[3, S, S]``.
        key: Its content hash, which the random numbers are derived from.
        variant: What is done to it.
        pool: See :class:`Draw`.

    Returns:
        uint8 ``[3, S, S]``, as a file would hold it.
    """
    seed = int.from_bytes(hashlib.sha256(f"{key} {variant.name}".encode()).digest()[:7], "big")
    draw = Draw(torch.Generator().manual_seed(seed), pool)
    edited = TRANSFORMS[variant.transform].edit(to_float(picture[None]), torch.tensor([float(variant.strength)]), draw)
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
        self.name = f"{pictures.size}px-{variant.name}" + (f"-{beside}" if TRANSFORMS[variant.transform].pool else "")
        self._copies = torch.empty(pictures.pixels.shape, dtype=torch.uint8)
        self._made = np.zeros(len(pictures), dtype=bool)

    def at(self, rows: np.ndarray) -> Tensor:
        """Copies of the pictures at these positions ``[B]``, uint8 ``[B, 3, S, S]``."""
        for row in rows[~self._made[rows]]:
            original = torch.from_numpy(self.pictures.pixels[row].copy())
            self._copies[row] = edited_copy(original, self.pictures.keys[row], self.variant, self.pool.pixels)
            self._made[row] = True
        return self._copies[rows]
