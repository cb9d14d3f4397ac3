"""One slice of a NIfTI volume, as a radiologist looks at it."""

import gzip
import io
import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lcmem.errors import PictureError, extra
from lcmem.pictures.intensity import AIR_BELOW, AIR_SHARE, intensity_to_grey
from lcmem.pictures.paths import check_size, read_bytes, split_zip

MAX_VOXELS = 2**30
"""Larger volumes are refused before they are decompressed: these are 2 GB in 16 bits."""


def count_slices(path: str) -> int:
    """How many slices a volume has along its third axis, from its header alone; 1 if none of them can be read: it is
    not a volume of three axes, too large, or cut off."""
    from nibabel.loadsave import load

    _be_quiet()
    image: Any = _read_header(path) if split_zip(path)[0] else load(path)
    shape = (*image.shape, 1, 1)
    voxels = int(np.prod(image.shape, dtype=np.int64))
    cut = os.path.isfile(path) and path.lower().endswith(".nii") and os.path.getsize(path) < _size(image, voxels)
    return int(shape[2]) if set(shape[3:]) <= {1} and voxels <= MAX_VOXELS and not cut else 1


def _size(image: Any, voxels: int) -> int:
    """Bytes of a file that is not compressed."""
    return int(image.dataobj.offset) + voxels * int(image.get_data_dtype().itemsize)


@dataclass(frozen=True)
class Volume:
    """A decompressed volume.

    Attributes:
        stored: ``[X, Y, Z]`` numbers as they are in the file; a value is ``stored * slope + intercept``.
        slope: Of the file's header.
        intercept: Of the file's header.
        hounsfield: Whether the values are Hounsfield units, as far as they tell.
        orientation: ``[3, 2]``: for each axis of the array the world axis (0 right, 1 anterior, 2 superior) that it
            runs along, and 1 or -1 for its direction.
    """

    stored: np.ndarray
    slope: float
    intercept: float
    hounsfield: bool
    orientation: np.ndarray


def load_slice(path: str, index: int | None) -> np.ndarray:
    """Read ``array[:, :, index]`` of a volume.

    The index counts along the third axis *as stored*, so that it means the same in a mask of the same shape and in any
    other tool. The slice is turned so that anterior (in axial slices) or superior (in others) is up and the patient's
    right, or anterior, is on the left. Grey values: :func:`lcmem.pictures.intensity.intensity_to_grey`.

    Args:
        path: ``.nii`` or ``.nii.gz``, also inside a zip file.
        index: From 0; may be None if there is only one slice.

    Returns:
        ``[H, W]`` float32 in [0, 1].

    Raises:
        PictureError: No volume, no such slice, several and none named, too small or too large, or nibabel is missing.
    """
    status = os.stat(split_zip(path)[0] or path)
    volume = _open_volume(path, os.getpid(), (status.st_size, status.st_mtime_ns))
    count = volume.stored.shape[2]
    if index is None and count > 1:
        raise PictureError(f"{path}: a volume of {count} slices; name one, for example {path}#slice={count // 2}")
    if index is not None and index >= count:
        raise PictureError(f"{path}: there is no slice {index}, only 0 to {count - 1}")
    values = volume.stored[:, :, index or 0].astype(np.float32) * volume.slope + volume.intercept
    return intensity_to_grey(_upright(values, volume.orientation), volume.hounsfield)


# slices of one volume are read one after another, and decompression takes seconds
@lru_cache(maxsize=1)
def _open_volume(path: str, process: int, stamp: tuple[int, int]) -> Volume:
    with extra("medical", f"{path}: NIfTI needs nibabel", PictureError):
        from nibabel.orientations import io_orientation
    image = _read_header(path)
    shape = (*image.shape, 1, 1)[:3]
    if int(np.prod(image.shape)) != int(np.prod(shape)):
        raise PictureError(f"{path}: {len(image.shape)} dimensions; save one volume of the series as a file of its own")
    check_size((shape[0], shape[1]), path)
    if np.prod(shape, dtype=np.int64) > MAX_VOXELS:
        raise PictureError(f"{path}: {'×'.join(map(str, shape))} voxels are too many; crop it or scale it down")
    proxy = image.dataobj
    stored = np.asarray(proxy.get_unscaled()).reshape(shape)
    if stored.dtype.kind not in "iuf":
        raise PictureError(f"{path}: values of type {stored.dtype} are not grey values")
    slope, intercept = float(proxy.slope), float(proxy.inter)
    return Volume(stored, slope, intercept, _shows_air(stored, slope, intercept), io_orientation(image.affine))


def _shows_air(stored: np.ndarray, slope: float, intercept: float) -> bool:
    """Whether enough of a volume is as low as only air in Hounsfield units is, slice by slice to save memory."""
    low = finite = 0
    for index in range(stored.shape[2]):
        values = stored[:, :, index] * np.float32(slope) + np.float32(intercept)
        usable = np.isfinite(values)
        finite += int(usable.sum())
        low += int((usable & (values < AIR_BELOW)).sum())
    return low > AIR_SHARE * finite


def _be_quiet() -> None:
    """What nibabel mends in a header, it says on the console, in words for its developers."""
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)


def _read_header(path: str) -> Any:
    from nibabel import Nifti1Image, Nifti2Image

    _be_quiet()
    data = read_bytes(path)
    if not data:
        raise PictureError(f"{path}: the file is empty")
    stream: Any = gzip.GzipFile(fileobj=io.BytesIO(data)) if data[:2] == b"\x1f\x8b" else io.BytesIO(data)
    size = stream.read(4)
    stream.seek(0)
    kind = Nifti2Image if 540 in (int.from_bytes(size, "little"), int.from_bytes(size, "big")) else Nifti1Image
    return kind.from_stream(stream)


def _upright(values: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    world, direction = orientation[:2, 0], orientation[:2, 1]
    # a picture runs from its upper left corner: superior to inferior, anterior to posterior, right to left
    values = values[:: -1 if direction[0] > 0 else 1, :: -1 if direction[1] > 0 else 1]
    return values if world[0] > world[1] else values.T
