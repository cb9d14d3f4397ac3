"""One picture: a file or an array becomes RGB, as floats in [0, 1] or as 256 levels."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from PIL import Image, ImageOps

from lcmem.errors import LCMemError, PictureError
from lcmem.pictures.depth import FULL, Declared, check_readable, declared, depth_to_grey
from lcmem.pictures.diagnosis import why_unreadable
from lcmem.pictures.information import shows_little
from lcmem.pictures.paths import (
    DICOM_SUFFIXES,
    FORMATS,
    HEAD,
    VOLUME_SUFFIXES,
    check_size,
    is_dicom,
    read_bytes,
    split_bits,
    split_slice,
)

if TYPE_CHECKING:
    import torch

SPARE = 2
"""A large 8-bit picture is first shrunk cheaply, to no less than this multiple of the wanted side."""

Image.MAX_IMAGE_PIXELS = None  # our own limit, checked from the header, replaces Pillow's warning

PictureLike: TypeAlias = Union[str, os.PathLike[str], Image.Image, np.ndarray, "torch.Tensor"]


def load_picture(source: PictureLike, size: int | None = None) -> np.ndarray:
    """Read a picture as float RGB.

    Grey, palette and alpha pictures become RGB (alpha over white, or over black if
    what is drawn is white), EXIF rotation is applied. 16-bit values are divided
    by what the file declares to be white, by the depth that the path names (``scan.png#bits=12``, see
    :mod:`lcmem.pictures.set_depth`), else by 65535. DICOM and NIfTI are shown as a viewer shows them, see
    :mod:`lcmem.pictures.dicom` and :mod:`lcmem.pictures.nifti`. With ``size`` the whole picture is squeezed
    into a square, so that no content is lost. 8-bit pictures of at least twice that size are shrunk in 8 bits: JPEG
    files are decoded at a fraction of their size that leaves twice the wanted one.

    Args:
        source: A path, a PIL image, or an array or tensor: ``[H, W]`` or ``[H, W, 3]`` uint8 or uint16, or
            ``[3, H, W]`` float in [0, 1]. ``archive.zip/member.png`` reaches into a zip file,
            ``volume.nii.gz#slice=57`` into a NIfTI volume, ``cine.dcm#slice=3`` into a DICOM file of several frames.
            An opened file keeps what it declares, but for the significant bits of PNG, which Pillow does not hand on.
        size: Height and width of the result in pixels; None keeps the picture's own.

    Returns:
        ``[3, H, W]`` float32 in [0, 1].

    Raises:
        PictureError: The file is missing, empty, corrupt, not a picture, smaller than ``MIN_SIDE`` or larger than
            ``MAX_PIXELS``; it has several slices and none is named; its format needs the extra ``medical``; or the
            array has another shape, or holds NaN or values outside [0, 1].
        LCMemError: A size that is no number of pixels.
    """
    return _floats(_load(source, size))


def load_levels(source: PictureLike, size: int | None = None) -> np.ndarray:
    """Read a picture as :func:`load_picture` does, rounded to 256 levels: the network's input, whatever it comes from.

    Returns:
        ``[3, H, W]`` uint8.
    """
    planes = _load(source, size)
    return planes if planes.dtype == np.uint8 else np.rint(planes * 255).astype(np.uint8)


def _load(source: PictureLike, size: int | None) -> np.ndarray:
    """``[3, H, W]``, uint8 as long as nothing finer is known, else float32 in [0, 1]."""
    if size is not None and (not isinstance(size, int | np.integer) or size < 1):
        raise LCMemError(f"the side of a picture is a whole number of pixels, not {size}")
    if isinstance(source, str | os.PathLike):
        return _load_file(os.fspath(source), size)
    if isinstance(source, Image.Image):
        return _load_opened(source, size)
    return _resized(_from_array(to_array(source), size), size)


def _load_opened(picture: Image.Image, size: int | None) -> np.ndarray:
    try:
        check_readable(picture)
        said = declared(picture)
        # a copy: a draft would change the caller's picture. It no longer knows the tags of its file
        return _resized(_to_planes(picture.copy(), "picture", size, said), size)
    except PictureError:
        raise
    except Exception as error:  # only now Pillow reads the file, which may be cut off, or was closed
        name = getattr(picture, "filename", "") or f"a PIL picture of mode {picture.mode}"
        raise PictureError(f"{name}: not a readable picture: {error}") from error


def to_array(picture: Any) -> np.ndarray:
    """A picture in memory as an array.

    Raises:
        PictureError: It is none.
    """
    if hasattr(picture, "detach"):
        picture = picture.detach().cpu()
        picture = picture.float() if picture.is_floating_point() else picture  # NumPy knows no bfloat16
    try:
        array = np.asarray(picture)
    except (TypeError, ValueError) as error:  # such as lists of unequal lengths
        raise PictureError(f"{type(picture).__name__} is no picture ({error})") from error
    if array.dtype.kind not in "biuf":
        raise PictureError(f"{type(picture).__name__} is no picture: paths, PIL pictures, arrays and tensors are")
    return array


def _load_file(path: str, size: int | None) -> np.ndarray:
    try:
        return _resized(_decode(path, size), size)
    except PictureError as error:
        raise error if split_slice(path)[0] in str(error) else PictureError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise PictureError(f"{path}: no such file") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, … on damaged files
        raise PictureError(f"{path}: not a readable picture: {why_unreadable(error, _beginning(path))}") from error


def _beginning(path: str) -> bytes:
    try:
        return read_bytes(path)[:HEAD]
    except Exception:  # the error that is to be explained
        return b""


def _decode(path: str, size: int | None) -> np.ndarray:
    file, index = split_slice(path)
    if file.lower().endswith(VOLUME_SUFFIXES):
        from lcmem.pictures.nifti import load_slice

        return _from_array(load_slice(file, index), size)
    data = read_bytes(file)
    if not data:
        raise PictureError(f"{path}: the file is empty")
    if is_dicom(data) or Path(file).suffix.lower() in DICOM_SUFFIXES:
        from lcmem.pictures.dicom import decode_frame

        return _from_array(decode_frame(data, index, file), size)
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        check_size(picture.size, path)
        _check_single(picture, index, path)
        check_readable(picture)
        return _to_planes(picture, path, size, declared(picture, data), split_bits(path)[1])


def _check_single(picture: Image.Image, index: int | None, path: str) -> None:
    """Go to a page of a TIFF, an animation or a multi-page file; of several pages one must be named.

    Phones keep a depth map or a second view behind a JPEG picture (MPO): the first is the picture.
    """
    pages = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
    if index is None and pages > 1:
        raise PictureError(f"{path}: holds {pages} pages; list them one by one, as {Path(path).name}#slice=0")
    if index is not None and index >= pages:
        raise PictureError(f"{path}: there is no page {index}, only 0 to {pages - 1}")
    if index:
        picture.seek(index)


def _to_planes(
    picture: Image.Image, name: str, size: int | None, said: Declared | None = None, bits: int | None = None
) -> np.ndarray:
    """PIL image to ``[3, H, W]``, uint8 or for more than 8 bits float32; already of that size if it was far larger."""
    check_size(picture.size, name)
    said = said or declared(picture)
    if size is not None:
        picture = _shrunk(picture, size)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode[0] in "IF":  # 16 bits, which some Pillow versions widen to 32, or floats
        return _from_levels(np.asarray(picture), name, said, bits)
    if picture.has_transparency_data:
        return _flattened(picture.convert("RGBA"))
    return np.ascontiguousarray(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))


def _flattened(picture: Image.Image) -> np.ndarray:
    """What is drawn on transparent ground, on white paper or on black if white hides it; ``[3, H, W]`` uint8."""
    papers = [Image.new("RGBA", picture.size, colour) for colour in ("white", "black")]
    white, black = (np.asarray(Image.alpha_composite(paper, picture).convert("RGB")) for paper in papers)
    planes = [np.ascontiguousarray(levels.transpose(2, 0, 1)) for levels in (white, black)]
    return planes[1] if shows_little(planes[0]) and not shows_little(planes[1]) else planes[0]


def _from_levels(levels: np.ndarray, name: str, said: Declared, bits: int | None) -> np.ndarray:
    if said.white is None and levels.dtype.kind == "f":
        grey = _from_floats(levels)
        return 1 - grey if said.inverted else grey
    if said.white is None and (levels.min() < 0 or levels.max() > FULL):
        raise PictureError(
            f"{name}: values from {levels.min()} to {levels.max()}, and which is white is not known; save it with "
            "whole numbers from 0 to 65535, or as floats in [0, 1]"
        )
    return _from_floats(depth_to_grey(levels, said, bits))


def _shrunk(picture: Image.Image, size: int) -> Image.Image:
    """A picture ``SPARE`` times as large or more, squeezed into the square in 8 bits; any other as it is.

    Reduced decoding and box filter leave ``SPARE`` times the size, so that the bicubic filter decides what is seen.
    Smaller pictures are not for this: enlarged in 8 bits, overshoot would be cut off between rows and columns.
    """
    room = SPARE * size
    if min(picture.size) < room or picture.mode not in ("L", "RGB") or picture.has_transparency_data:
        return picture
    drafted = picture.draft(None, (room, room))
    whole = drafted[1] if drafted else None  # a fraction of a pixel less than the drafted picture, if sides are odd
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=whole, reducing_gap=SPARE)


def _from_array(array: np.ndarray, size: int | None) -> np.ndarray:
    shape = array.shape if array.dtype in (np.uint8, np.uint16) else (*array.shape[-2:], *array.shape[:-2])
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise PictureError(f"an array of shape {array.shape} and type {array.dtype} is not a picture")
    if array.dtype == np.uint8:
        return _to_planes(Image.fromarray(array[..., 0] if shape[2:] == (1,) else array), "array", size)
    if array.dtype == np.uint16:
        array = np.moveaxis(array.reshape(shape), (0, 1), (-2, -1)) / np.float32(FULL)
    return _from_floats(array)


def _from_floats(array: np.ndarray) -> np.ndarray:
    planes = array[None] if array.ndim == 2 else array
    check_size((planes.shape[2], planes.shape[1]), "array")
    if not (np.isfinite(planes).all() and planes.min() >= 0 and planes.max() <= 1):
        raise PictureError("float pictures must lie in [0, 1] and hold no NaN")
    return np.array(np.broadcast_to(planes, (3, *planes.shape[1:])), dtype=np.float32, order="C")


def _resized(planes: np.ndarray, size: int | None) -> np.ndarray:
    """Pillow's bicubic filter in floats, but from PyTorch, which is quicker for small pictures."""
    if size is None or planes.shape[1:] == (size, size):
        return planes
    from torch import from_numpy
    from torch.nn.functional import interpolate

    grey = bool((planes[0] == planes[1]).all() and (planes[0] == planes[2]).all())
    exact = _floats(planes[:1] if grey else planes)
    squeezed = interpolate(from_numpy(exact)[None], (size, size), mode="bicubic", antialias=True)[0].clamp_(0, 1)
    return squeezed.expand(3, -1, -1).contiguous().numpy()


def _floats(planes: np.ndarray) -> np.ndarray:
    return np.divide(planes, 255, dtype=np.float32) if planes.dtype == np.uint8 else planes
