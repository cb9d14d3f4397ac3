"""One frame of a DICOM file, through the grey-scale pipeline of the standard (PS3.3, C.11, and PS3.4, N.2)."""

import io
import warnings
import zlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lcmem.errors import PictureError, extra
from lcmem.pictures.depth import first_of
from lcmem.pictures.intensity import intensity_to_grey
from lcmem.pictures.paths import check_size, is_dicom

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def decode_frame(data: bytes, index: int | None, name: str) -> np.ndarray:
    """Decode a frame.

    Stored values pass the modality LUT or rescale, then the first VOI LUT or window; MONOCHROME1 is inverted; YBR and
    palettes become RGB. Without a window, 8-bit values are taken as they are, Hounsfield units through
    :data:`lcmem.pictures.intensity.HOUNSFIELD_WINDOW`, and everything else is stretched. Padding is black, and no
    part of what is stretched.

    Args:
        data: The whole file.
        index: Frame, from 0; may be None if there is only one.
        name: For messages.

    Returns:
        ``[H, W]`` or ``[3, H, W]`` float32 in [0, 1].

    Raises:
        PictureError: Not a DICOM file, no pixels in it, no such frame, several and none named, too small or too large,
            or pydicom is missing.
    """
    with extra("medical", f"{name}: DICOM needs pydicom", PictureError):
        import pydicom.pixels  # noqa: F401  # whatever needs it below
    _be_quiet()
    dataset = _read_header(data, name)
    frame = _choose_frame(int(dataset.get("NumberOfFrames") or 1), index, name)
    pixels = _stored_values(dataset, frame)
    if pixels.ndim == 3:
        return _colours(pixels, 2**dataset.BitsStored - 1)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return _through_palette(pixels, dataset)
    padding = _padding(pixels, dataset)
    grey = _through_window(pixels, _with_frame_values(dataset, frame), padding)
    grey = 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    return np.where(padding | ~np.isfinite(pixels), np.float32(0), grey)


@cache  # a filter that is set anew makes every other warning be shown anew
def _be_quiet() -> None:
    """What pydicom mends in a file, it tells its developers, and names no file."""
    warnings.filterwarnings("ignore", module="pydicom")


def _read_header(data: bytes, name: str) -> "Dataset":
    from pydicom import dcmread

    if not is_dicom(data):
        raise PictureError(
            f"{name}: not a DICOM file (it lacks the letters DICM at byte 128); rename it if it is something else"
        )
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # without a preamble the syntax is the default one (PS3.5, 10)
            dataset.file_meta.TransferSyntaxUID = _default_syntax(data)
    except (EOFError, zlib.error) as error:
        raise PictureError(f"{name}: damaged DICOM file ({error})") from error
    if not any(keyword in dataset for keyword in PIXELS):
        kind = dataset.get("Modality") or dataset.file_meta.get("MediaStorageSOPClassUID", "unknown kind")
        raise PictureError(f"{name}: this DICOM file ({kind}) holds no picture, or is cut off")
    check_size((int(dataset.Columns), int(dataset.Rows)), name)
    return dataset


def _default_syntax(data: bytes) -> "UID":
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    return ExplicitVRLittleEndian if data[4:6].isupper() else ImplicitVRLittleEndian


def _stored_values(dataset: "Dataset", frame: int) -> np.ndarray:
    """A frame, also where its bits are not the lowest ones, as in files of the time before DICOM."""
    from pydicom.pixels import pixel_array

    high, stored, allocated = (dataset.get(name) for name in ("HighBit", "BitsStored", "BitsAllocated"))
    packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if None in (high, stored, allocated) or packed or not stored <= high < allocated:
        return pixel_array(dataset, index=frame)
    shift = high + 1 - stored
    dataset.BitsStored = high + 1  # or the highest are masked
    whole: np.ndarray = pixel_array(dataset, index=frame)
    dataset.BitsStored = stored
    moved = not (whole & ((1 << shift) - 1)).any()  # others only say so
    return whole >> shift if moved else pixel_array(dataset, index=frame)


def _choose_frame(count: int, index: int | None, name: str) -> int:
    if index is None and count > 1:
        raise PictureError(f"{name}: {count} frames; name one, for example {name}#slice={count // 2}")
    if index is not None and index >= count:
        raise PictureError(f"{name}: there is no frame {index}, only 0 to {count - 1}")
    return index or 0


def _padding(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Which stored values ``[H, W]`` only fill the frame around the picture (PS3.3, C.7.5.1.1.2)."""
    value = dataset.get("PixelPaddingValue")
    if value in (None, ""):
        return np.zeros(pixels.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit in (None, "") else limit)))
    return (pixels >= low) & (pixels <= high)


def _colours(pixels: np.ndarray, full: int) -> np.ndarray:
    return np.moveaxis(pixels[..., :3], -1, 0).astype(np.float32) / np.float32(full)


def _through_palette(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    colours = apply_color_lut(pixels, dataset)
    full = 2 ** int(dataset.RedPaletteColorLookupTableDescriptor[2]) - 1
    # files that say 8 bits and hold 16 are common enough to be mentioned in the standard (C.7.6.3.1.5)
    return _colours(colours, full if colours.max() <= full else int(np.iinfo(colours.dtype).max))


def _with_frame_values(dataset: "Dataset", frame: int) -> "Dataset":
    """The elements that rule grey values, wherever they are: enhanced files keep them in functional groups."""
    from pydicom import Dataset

    found = Dataset()
    groups = [*(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]]
    groups += [*(dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]]
    for group in groups:
        for keyword in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(keyword) or []:
                found.update(item)
    for element in dataset.group_dataset(0x0028):
        if element.tag not in found:
            found.add(element)
    found.Modality = dataset.get("Modality", "")
    found.file_meta = dataset.file_meta
    return found


def _through_window(pixels: np.ndarray, dataset: "Dataset", padding: np.ndarray) -> np.ndarray:
    values = _measured(pixels, dataset)
    if dataset.get("VOILUTSequence"):
        levels, full = _looked_up(values, dataset, dataset.VOILUTSequence[0])
        return np.clip(levels / np.float32(full), 0, 1).astype(np.float32)
    center, width, function = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth"), _function(dataset)
    if center is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-6):
        return apply_window(values, center, width, function)  # a width of 0 or less is none
    if values is pixels and pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(2**dataset.BitsStored - 1)
    hounsfield = dataset.Modality == "CT" and _number(dataset, "RescaleIntercept") is not None
    return intensity_to_grey(np.where(padding, np.nan, values), hounsfield)


def _measured(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Stored values ``[H, W]`` through the modality LUT or the rescale (PS3.3, C.11.1); empty elements are absent."""
    if dataset.get("ModalityLUTSequence"):
        return _looked_up(pixels, dataset, dataset.ModalityLUTSequence[0])[0]
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return pixels
    return pixels.astype(np.float64) * (1.0 if slope is None else slope) + (intercept or 0.0)


def _looked_up(values: np.ndarray, dataset: "Dataset", table: "Dataset") -> tuple[np.ndarray, int]:
    """Values ``[H, W]`` through a lookup table (PS3.3, C.11.1.1 and C.11.2.1.1), and the highest that it can hold.

    pydicom's own holds positions in the type of the entries, which wraps around with entries of 8 bits.
    """
    count, first, bits = map(int, table.LUTDescriptor)
    if first >= 2**15 and values.min() < 0:  # a signed number in an element that does not say so
        first -= 2**16
    data = table.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * (count or 2**16) else f"{order}u2")
    elif 2 * len(data) == count:  # two entries in each word
        data = np.asarray(data, dtype="<u2").view(np.uint8)
    entries = np.asarray(data, dtype=np.int64)[: count or 2**16]
    at = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    full, most = 2**bits - 1, int(entries.max())
    return entries[at], full if most <= 1.01 * full + 1 else 2 ** most.bit_length() - 1  # some say 8 bits and hold 16


def _number(dataset: "Dataset", keyword: str) -> float | None:
    """A number, or the first of several; None where it is empty or absent."""
    value = dataset.get(keyword)
    return None if value is None or value == "" or (isinstance(value, Sequence) and not len(value)) else first_of(value)


def _function(dataset: "Dataset") -> str:
    return str(dataset.get("VOILUTFunction") or "LINEAR")


def apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """A window of the standard (PS3.3, C.11.2.1.2 and C.11.2.1.3).

    Args:
        values: ``[H, W]`` after the modality LUT.
        center: Window Center.
        width: Window Width.
        function: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.

    Returns:
        ``[H, W]`` float32 in [0, 1].
    """
    values = values.astype(np.float64)
    if function == "SIGMOID":
        return (1 / (1 + np.exp(-4 * (values - center) / max(width, 1e-6)))).astype(np.float32)
    if function == "LINEAR":  # the standard counts grey values, so that a width of 1 is a step
        center, width = center - 0.5, width - 1
    if width <= 0:
        return (values > center).astype(np.float32)
    return np.clip((values - center) / width + 0.5, 0, 1).astype(np.float32)
