"""Grey values of more than 8 bits: which of them is white.

A file that declares it is believed: SMinSampleValue and SMaxSampleValue or BitsPerSample of TIFF, sBIT of PNG, the
maximum of PGM. Of files that declare nothing, one rule decides for a whole *set*, because scanners store 12 bits in
files of 16, and divided by 65535 they would be nearly black: the smallest of :data:`DEPTHS` that holds all but one in
a thousand values of a sample. The paths of such files then end in ``#bits=12``, so that whoever loads them, today or
from a stored atlas, scales them alike. A single file of which nothing is known has 16 bits. A few odd pixels change
nothing.
"""

import io
import os
import warnings
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lcmem.errors import LCMemWarning
from lcmem.pictures.paths import FORMATS, is_dicom, read_bytes, split_bits, split_slice, split_zip

DEPTHS = (8, 10, 12, 14, 16)
BELOW = 0.999
"""Share of the values that must fit into a depth: the others are dead pixels and letters burnt in."""
SAMPLE = 32
"""Pictures of a set that are looked at, evenly spread over its list."""
VALUES = 512
"""Values of a sampled picture that are looked at along its longer side, up to twice as many."""
FULL = 2**16 - 1
MIN_VALUE, MAX_VALUE, BITS, PHOTOMETRIC = 340, 341, 258, 262
"""Tags of TIFF."""


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
            return Declared(_first(tags.get(MIN_VALUE, 0)), _first(tags[MAX_VALUE]), inverted)
        bits = int(_first(tags.get(BITS, 16)))
        return Declared(0.0, 2.0**bits - 1 if bits < 16 else None, inverted)
    if picture.format == "PNG":
        transparent = picture.info.get("transparency")
        paper = transparent if isinstance(transparent, int) else None
        return Declared(0.0, None, False, paper, _significant_bits(data))
    return Declared(0.0, float(FULL) if picture.format in ("PPM", "JPEG2000") else None)  # Pillow spreads these


def _first(value: Any) -> float:
    return float(np.atleast_1d(np.asarray(value, dtype=np.float64))[0])


def _significant_bits(data: bytes) -> int | None:
    at = 8
    while at + 8 < len(data) and (kind := data[at + 4 : at + 8]) != b"IDAT":
        if kind == b"sBIT":
            return data[at + 8] if data[at + 8] < 16 else None
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return None


def to_grey(levels: np.ndarray, said: Declared, bits: int | None = None) -> np.ndarray:
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


def with_bits(paths: list[str]) -> list[str]:
    """Paths of one set, with ``#bits=12`` behind those that need it; see the top of this page.

    Warns:
        LCMemWarning: A depth below 16 was found for files that declare none.
    """
    sample = [path for path in paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE] if _says_nothing(path)]
    if not sample:
        return paths
    values = np.concatenate([_values(path) for path in sample])
    bits = next((bits for bits in DEPTHS if np.mean(values < 2**bits) >= BELOW), 16)
    if bits == 16 or not len(values):
        return paths
    warnings.warn(
        f"{sample[0]}: a 16-bit file that does not say how many bits it uses; like all such files of this set it is "
        f"taken for {bits} bits, because {BELOW:.1%} of the values of {len(sample)} of them are below {2**bits}; "
        f"another depth is named behind the paths of a table, as {os.path.basename(split_slice(sample[0])[0])}#bits=16",
        LCMemWarning,
        stacklevel=3,
    )
    return [f"{path}#bits={bits}" if _says_nothing(path) else path for path in paths]


def _says_nothing(path: str) -> bool:
    """Whether a file has more than 8 bits of grey, and neither it nor its path says how many."""
    try:
        file, bits = split_slice(path)[0], split_bits(path)[1]
        if bits is not None:
            return False
        inside = split_zip(file)[0] is not None
        with io.BytesIO(read_bytes(file)) if inside else open(file, "rb") as stream:
            head = stream.read(FULL)
            if is_dicom(head):  # some are TIFF files as well, by what stands before the letters DICM
                return False
            with Image.open(stream, formats=("PNG", "TIFF")) as picture:
                said = declared(picture, head)
                return picture.mode.startswith("I") and said.white is None and said.significant is None
    except Exception:  # Pillow and zipfile raise many kinds on damaged files, which are named when they are loaded
        return False


def _values(path: str) -> np.ndarray:
    """Every second, third, … value of a file in both directions, so that a sample fits into memory; none if damaged."""
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=FORMATS) as picture:
            step = 1 + max(picture.size) // VALUES
            return np.asarray(picture)[::step, ::step].astype(np.int32).ravel()
    except Exception:  # Pillow raises many kinds on damaged files, which are named when they are loaded
        return np.empty(0, np.int32)
