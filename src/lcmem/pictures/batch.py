"""Several pictures as people have them: paths, PIL pictures, an array or a tensor of a generator's samples."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from PIL import Image

from lcmem.errors import PictureError
from lcmem.pictures.image import PictureLike, to_array

if TYPE_CHECKING:
    import torch

Batch: TypeAlias = Union[Sequence[PictureLike], np.ndarray, "torch.Tensor"]
"""A list of pictures, an array ``[N, H, W, 3]`` or a tensor ``[N, 3, H, W]``, uint8 or float in [0, 1]."""
SIDES = (1, 3)


def is_single(pictures: Any) -> bool:
    """Whether this is one picture: a path, a PIL picture, or an array of two or three dimensions."""
    return isinstance(pictures, str | os.PathLike | Image.Image) or len(getattr(pictures, "shape", ())) in (2, 3)


def split_batch(pictures: PictureLike | Batch) -> list[Any]:
    """One or several pictures as a list of what :func:`lcmem.pictures.image.load_picture` takes.

    Args:
        pictures: A picture or a batch. In arrays of pictures the colours may be the first or the last axis.

    Raises:
        PictureError: An array of another shape, or with values outside [0, 1], or what is no picture at all.
    """
    several = not is_single(pictures) and isinstance(pictures, Iterable) and getattr(pictures, "ndim", 1) > 0
    many = list(pictures) if several else [pictures]  # type: ignore[arg-type]
    return [each if isinstance(each, str | os.PathLike | Image.Image) else _oriented(each) for each in many]


def _oriented(picture: Any) -> np.ndarray:
    """``[H, W, 3]`` for integers, ``[3, H, W]`` for floats, as :func:`lcmem.pictures.image.load_picture` wants it."""
    array = to_array(picture)
    whole = array.dtype in (np.uint8, np.uint16)
    if not whole:
        check_range(array)
        array = array.astype(np.float32)
    if array.ndim != 3:
        return array
    last = array.shape[2] in SIDES and not (array.shape[0] in SIDES and array.shape[2] > array.shape[1])
    if not last and array.shape[0] not in SIDES:
        raise PictureError(f"an array of shape {array.shape} is no picture: [H, W, 3] or [3, H, W] is")
    if whole:
        return array if last else np.moveaxis(array, 0, -1)
    return np.moveaxis(array, -1, 0) if last else array


def check_range(array: np.ndarray) -> None:
    """Refuse pictures of floats outside [0, 1] that another scaling would explain.

    Raises:
        PictureError: With that scaling.
    """
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if -1 <= low < 0 and high <= 1:
        raise PictureError(
            f"pictures with values from {low:.2f} to {high:.2f}: they must lie in [0, 1]; for a generator's [-1, 1] "
            "give pictures / 2 + 0.5"
        )
    if 1 < high <= 2 and low > -1:
        raise PictureError(
            f"pictures with values from {low:.2f} to {high:.2f}: they must lie in [0, 1]; give pictures.clamp(0, 1)"
        )
    if high > 1 and high <= 255 and low >= 0:
        raise PictureError(
            f"pictures of {array.dtype} up to {high:.0f}: they must lie in [0, 1]; give them as uint8, or / 255"
        )
