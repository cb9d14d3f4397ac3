"""Why a file is no picture, in words that help: libraries speak of objects in memory and attributes."""

import re

from PIL import UnidentifiedImageError

from lcmem.pictures.paths import FORMATS, is_picture

OTHERS = (
    (rb"\s*<(?:!doctype|html|\?xml|svg)", "a web page or an SVG drawing; download it again, or export it as PNG"),
    (rb"%PDF", "a PDF document; export its pictures as PNG"),
    (rb"%!|\xc5\xd0\xd3\xc6", "a PostScript file; export it as PNG"),
    (rb"version https://git-lfs", "a placeholder of Git LFS; run git lfs pull"),
    (rb"....ftyp(?:heic|heix|hevc|mif1|msf1)", "a HEIC picture; convert it to JPEG or PNG"),
    (rb"....ftyp", "a video; extract its frames"),
    (rb"PK\x03\x04", "a zip file or an Office document; name a picture in it, FILE.zip/NAME, or for a set FILE.zip"),
    (rb"\x1f\x8b|7z\xbc\xaf|Rar!", "a packed file; unpack it"),
    (rb"\x89HDF|CDF|\x93NUMPY", "a file of arrays; save its pictures as 16-bit PNG or TIFF"),
)
"""How other files begin, and what to do about them."""
DAMAGED = "damaged or cut off; copy or export it again"
UNUSUAL = ", or a kind of TIFF that is not read; save it as PNG of 8 or 16 bits"


def why_unreadable(error: Exception, data: bytes) -> str:
    """What is wrong with a file and the way out.

    Args:
        error: What the library raised.
        data: The file's beginning; empty if it could not be read.
    """
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, UnidentifiedImageError):
        return f"{DAMAGED}{UNUSUAL if data[:2] in (b'II', b'MM') else ''}" if is_picture(data) else _kind(data)
    missing = re.search(r"no attribute '(\w+)'", str(error))
    if isinstance(error, AttributeError) and missing:
        return f"damaged DICOM file: its element {missing[1]} is missing; export it again"
    said = " ".join(re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "it", str(error)).split())
    if "support" in said and not isinstance(error, TypeError):  # of operands
        return f"cannot be decoded here; export it uncompressed ({said})"
    return f"{DAMAGED} ({said})"


def _kind(data: bytes) -> str:
    """What else a file is."""
    for start, text in OTHERS:
        if re.match(start, data, re.IGNORECASE | re.DOTALL):
            return text
    return f"not a picture of a kind that is read ({', '.join(FORMATS)}, DICOM, NIfTI)"
