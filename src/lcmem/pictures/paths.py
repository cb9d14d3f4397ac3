"""How a picture is named, and what is known before it is decoded: zip members, slices, kinds of files, limits."""

import os
import re
import zipfile
from functools import lru_cache
from pathlib import Path

from lcmem.errors import LowInformationError, PictureError

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".dcm30", ".ima"})
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "GIF", "AVIF", "JPEG2000")
"""What Pillow may take a file for: others of its formats start programs (PostScript) or hold no photographs."""
MAGIC = {
    0: (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"GIF8", b"\xff\x4f\xff\x51"),
    4: (b"ftypavif", b"ftypavis", b"jP  \r\n\x87\n"),
    8: (b"WEBP",),
    128: (b"DICM",),
}
"""First bytes of the pictures that can be read, by where they stand in a file."""
HEAD = 132
"""Bytes of a file by which its kind is known."""
REPACK = "pack it again with an ordinary program, or unpack it and give the folder"
VOLUME_SUFFIXES = (".nii", ".nii.gz")
MIN_SIDE = 16
"""Pictures with a shorter side (in pixels) show nothing that could be recognised."""
MAX_BYTES = 2**32
"""Larger files are not read into memory: they are no pictures, or a few kilobytes that unpack to terabytes."""
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: 100 megapixels are 1.2 GB as float RGB."""


def split_slice(path: str) -> tuple[str, int | None]:
    """Split ``file#slice=57`` into the file and the number; ``(path, None)`` for an ordinary path.

    A depth behind it (:func:`split_bits`) is dropped.
    """
    path, _ = split_bits(path)
    found = re.fullmatch(r"(.+)#slice=(\d+)", path, flags=re.DOTALL)
    return (found[1], int(found[2])) if found else (path, None)


def split_bits(path: str) -> tuple[str, int | None]:
    """Split ``file#bits=12`` into the file (with its slice) and the depth of its grey values, None without one."""
    found = re.fullmatch(r"(.+)#bits=(\d+)", path, flags=re.DOTALL)
    return (found[1], int(found[2])) if found else (path, None)


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with these bytes (``HEAD`` are enough) is DICOM.

    Old scanners write it without a preamble, and the identifying group 0008 comes first.
    """
    bare = head[:2] == b"\x08\0" and head[3:4] == b"\0" and (head[4:6].isupper() or head[6:8] == b"\0\0")
    return bare or head[128:132] == b"DICM"


def is_picture(head: bytes) -> bool:
    """Whether a file that starts with these bytes (``HEAD`` are enough) is of a kind that can be read."""
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():  # PBM, PGM, PPM
        return True
    known = any(head[at : at + len(magic)] == magic for at, kinds in MAGIC.items() for magic in kinds)
    return known or is_dicom(head)


def read_bytes(path: str) -> bytes:
    """Read a whole file, or a member of a zip file named as ``archive.zip/member``; a slice's number is ignored.

    Raises:
        FileNotFoundError: It is not there.
        PictureError: No file but a folder, a pipe or a device; more than ``MAX_BYTES``; or a member that is encrypted
            or packed by a method that Python lacks.
    """
    path, _ = split_slice(path)
    archive, member = split_zip(path)
    if archive is None:
        if os.path.exists(path) and not os.path.isfile(path):  # reading a pipe would wait for ever
            raise PictureError(f"{path}: not a file but a folder, a pipe or a device; leave it out")
        if os.path.getsize(path) > MAX_BYTES:
            raise PictureError(f"{path}: {os.path.getsize(path)} bytes, which is no picture; leave it out")
        return Path(path).read_bytes()
    status = os.stat(archive)
    opened, spelt = _open_zip(archive, os.getpid(), (status.st_ino, status.st_size, status.st_mtime_ns))
    try:
        found = opened.getinfo(spelt.get(member, member))
        if found.file_size > MAX_BYTES:
            raise PictureError(f"{path}: {found.file_size} bytes when unpacked, which is no picture; leave it out")
        return opened.read(found)
    except KeyError:
        raise FileNotFoundError(path) from None
    except NotImplementedError as error:
        raise PictureError(f"{path}: packed by a method that cannot be undone here ({error}); {REPACK}") from error
    except RuntimeError as error:  # so says zipfile if a password is missing
        raise PictureError(f"{path}: encrypted; unpack the archive with its password and give the folder") from error


def split_zip(path: str) -> tuple[str | None, str]:
    """Split ``archive.zip/member`` into its two parts; ``(None, path)`` for an ordinary path."""
    name = path.replace(os.sep, "/")
    for found in re.finditer(r"\.zip/", name, flags=re.IGNORECASE):  # a folder may be named so as well
        archive = name[: found.end() - 1]
        if os.path.isfile(archive):
            return archive, name[found.end() :]
    return None, path


@lru_cache(maxsize=64)
def _open_zip(archive: str, process: int, stamp: tuple[int, ...]) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """The archive, and its members that are spelt with backslashes by what they are called here."""
    # a forked worker shares the parent's file offset, so each process opens its own; a replaced archive is another one
    opened = zipfile.ZipFile(archive)
    return opened, {name.replace("\\", "/"): name for name in opened.namelist() if "\\" in name}


def file_stamp(path: str) -> str:
    """Size and time of the last change of a file (of the archive, for a member of one); "" if it is not there."""
    file, _ = split_slice(path)
    try:
        status = os.stat(split_zip(file)[0] or file)
    except (OSError, ValueError):  # a path that a table gives may hold a null byte
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse width and height in pixels that are too small to show anything or too large to decode.

    Raises:
        LowInformationError: Below ``MIN_SIDE``.
        PictureError: Above ``MAX_PIXELS``.
    """
    width, height = size
    if min(width, height) < MIN_SIDE:
        raise LowInformationError(
            f"{name}: low information: {width}×{height} pixels are too few, at least {MIN_SIDE} a side are needed"
        )
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{name}: {width}×{height} pixels are too many (at most {MAX_PIXELS // 10**6} megapixels); scale it down"
        )
