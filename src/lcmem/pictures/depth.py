"""Grey values of more than 8 bits in one file: which of them is white.

A file that declares it is believed: SMinSampleValue and SMaxSampleValue or BitsPerSample of TIFF, sBIT of PNG, the
maximum of PGM. Otherwise the path may name the depth (``scan.png#bits=12``), as :mod:`lcmem.pictures.set_depth` finds
it for whole sets. A single file of which nothing is known has 16 bits.
"""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lcmem.errors import PictureError

BELOW = 0.999
"""Share of the values that must fit into a depth: the others are dead pixels and letters burnt in."""
FULL = 2**16 - 1
MIN_VALUE, MAX_VALUE, BITS, PHOTOMETRIC, COMPRESSION, PLANES, SAMPLE_FORMAT = 340, 341, 258, 262, 259, 284, 339
"""Tags of TIFF."""
SIGNED = 2
"""Of its kinds of samples."""


class Declared(NamedTuple):
    """What a file of more than 8 bits says about its values.

    Attributes:
        black: The value that is black.
        white: The value that is white; None if the file does not say.
        inverted: Whether 0 is white.
        transparent: The value that is no part of the picture, if there is one.
        significant: Bits that PNG calls significant: of values that some programs leave as they are, where the format
            wants them spread over 16 bits.
    """

    black: float = 0.0
    white: float | None = None
    inverted: bool = False
    transparent: int | None = None
    significant: int | None = None


def declared(picture: Image.Image, data: bytes = b"") -> Declared:
    """What a picture's header says; ``data`` is the file's beginning or all of it."""
    if picture.format == "TIFF":
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        inverted = tags.get(PHOTOMETRIC) == 0
        if MAX_VALUE in tags:
            return Declared(first_of(tags.get(MIN_VALUE, 0)), first_of(tags[MAX_VALUE]), inverted)
        bits = int(first_of(tags.get(BITS, 16)))
        return Declared(0.0, 2.0**bits - 1 if bits < 16 else None, inverted)
    if picture.format == "PNG":
        transparent = picture.info.get("transparency")
        paper = transparent if isinstance(transparent, int) else None
        return Declared(0.0, None, False, paper, _significant_bits(data))
    return Declared(0.0, float(FULL) if picture.format in ("PPM", "JPEG2000") else None)  # Pillow spreads these


def check_readable(picture: Image.Image) -> None:
    """Refuse kinds of TIFF that Pillow opens as something else.

    Raises:
        PictureError: Signed values of 8 bits, or separate planes of 16 that are not packed.
    """
    if picture.format != "TIFF":
        return
    tags: Any = picture.tag_v2  # type: ignore[attr-defined]
    bits, kind = first_of(tags.get(BITS, 1)), first_of(tags.get(SAMPLE_FORMAT, 1))
    if bits == 8 and kind == SIGNED:
        raise PictureError("signed values of 8 bits; save it with values from 0 to 255")
    if bits > 8 and picture.mode[:3] in ("RGB", "CMY") and tags.get(PLANES) == 2 and tags.get(COMPRESSION, 1) == 1:
        raise PictureError("colours in separate planes of 16 bits; save it with interleaved colours, or as PNG")


def first_of(value: Any) -> float:
    """A number, or the first of several."""
    return float(np.atleast_1d(np.asarray(value, dtype=np.float64))[0])


def _significant_bits(data: bytes) -> int | None:
    at = 8
    while at + 8 < len(data) and (kind := data[at + 4 : at + 8]) != b"IDAT":
        if kind == b"sBIT":
            return data[at + 8] if data[at + 8] < 16 else None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def depth_to_grey(levels: np.ndarray, said: Declared, bits: int | None = None) -> np.ndarray:
    """Levels ``[H, W]`` of more than 8 bits as float32 in [0, 1].

    Args:
        levels: As stored.
        said: What the file declares.
        bits: Depth of the set that it belongs to, if the file declares nothing.
    """
    depth = bits or 16
    if said.significant and np.mean(levels < 2**said.significant) >= BELOW:
        depth = said.significant
    white = 2.0**depth - 1 if said.white is None else said.white
    grey = np.clip((levels.astype(np.float32) - said.black) / max(white - said.black, 1e-6), 0, 1).astype(np.float32)
    grey = 1 - grey if said.inverted else grey
    return grey if said.transparent is None else np.where(levels == said.transparent, np.float32(1), grey)
