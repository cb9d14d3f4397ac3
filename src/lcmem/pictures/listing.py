"""What a folder or a zip file holds: rows of path, identity, split and dataset."""

import os
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import pandas as pd

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.paths import DICOM_SUFFIXES, HEAD, VOLUME_SUFFIXES, is_picture
from lcmem.pictures.tables import COLUMNS, composed

SPLITS = ("train", "val", "test")
SPELT = re.compile(
    r"(?:(?P<train>train|training|trn)|(?P<val>val|valid|validation|dev)|(?P<test>test|testing|tst))"
    r"(?:[ _.-]?(?:set|split|data|images))?[ _-]?(?:[ab]|\d+)?",
    re.IGNORECASE,
)
"""Folders of splits as people name them: ``Training``, ``validation_set``, ``testA``, ``train2017``."""
SUFFIXES = DICOM_SUFFIXES.union(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".webp", ".bmp", ".pgm", ".ppm", ".pnm", ".gif"),
    (".avif", ".jp2"),
)
"""Files that claim to be pictures; if they cannot be read, they are skipped with a reason instead of not counted."""

OUTSIDE = "leading out of the archive"
TWICE = "there twice"
REMEDIES = {
    (OUTSIDE,): "names with .. or of other folders; pack it again",
    (TWICE,): "others of the same name, or of one with \\ for /; one of them is read, pack it again for all",
    (".zip",): "give the archive itself",
    (".7z", ".rar", ".tar", ".tgz"): "unpack it, or pack a .zip",
    ("hidden",): "their names, or those of their folders, begin with a dot",
    ("DICOMDIR",): "a list of other files",
    (".hdr", ".img"): "if it is half of a NIfTI volume, save it as .nii or .nii.gz",
    (".heic", ".heif", ".psd", ".dng", ".cr2", ".nef", ".arw"): "convert to PNG or JPEG",
}
"""What to do about files that are not pictures, by their suffix."""

LEFT_BEHIND = ("__MACOSX", "@eaDir")
"""Folders in which macOS and Synology keep what is no picture of the user's, though it looks like one."""
UNLISTED = (*LEFT_BEHIND, "lost+found", "System Volume Information", "$RECYCLE.BIN")
"""Folders that may be closed to everybody: these and what disks keep for themselves."""

Found: TypeAlias = tuple[str, tuple[str, ...]]
"""Absolute path of a picture, and the folders that it is in."""


@dataclass
class Listing:
    """What a folder or zip file holds.

    Attributes:
        pictures: Those that can be read, by their first bytes, whatever their suffix; or that claim to be pictures.
        ignored: How many other files there are, by suffix in lower case; ``hidden`` are those of any suffix whose
            names, or those of their folders, begin with a dot, and what programs leave behind.
    """

    pictures: list[Found] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, path: str, name: str, inner: tuple[str, ...], head: Callable[[], bytes]) -> None:
        """Take a file in: an empty or damaged one of a picture's suffix too, which is then skipped with a reason."""
        file = PurePosixPath(name)
        if any(part.startswith(".") or part in LEFT_BEHIND for part in (*inner, file.name)):
            self.ignored["hidden"] += 1
        elif file.name == "DICOMDIR":
            self.ignored[file.name] += 1
        elif file.suffix.lower() in SUFFIXES or name.lower().endswith(VOLUME_SUFFIXES) or is_picture(head()):
            self.pictures.append((path, inner))
        else:
            self.ignored[file.suffix.lower() or "no suffix"] += 1


def list_folder(root: Path) -> Listing:
    """Every picture below a folder, in a stable order; linked folders are followed, each real folder once.

    Raises:
        LCMemError: A folder cannot be listed.

    Warns:
        LCMemWarning: File names are not UTF-8: no table could hold them, so they are left out.
    """
    listing, real, seen, odd = Listing(), os.path.realpath(root), set[str](), list[bytes]()
    for folder, folders, files in os.walk(root, onerror=partial(refuse_unlisted, root=root), followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(os.path.join(folder, name), real, seen)]
        inner = Path(folder).relative_to(root).parts
        for name in sorted(files):
            path = os.path.join(folder, name)
            try:
                path.encode()
            except UnicodeEncodeError:
                odd.append(os.fsencode(path))
                continue
            listing.add(os.path.abspath(path), name, inner, partial(file_head, path))
    if odd:
        warnings.warn(
            f"{root}: names of {len(odd)} files are not UTF-8, and these are left out, for example "
            f"{', '.join(map(repr, odd[:3]))}; rename them",
            LCMemWarning,
            stacklevel=4,
        )
    return listing


def refuse_unlisted(error: OSError, root: Path) -> None:
    """What a walk does about a folder that cannot be listed: left out in silence, its pictures would seem to be gone.

    Args:
        error: Why it cannot.
        root: Where the walk began.

    Raises:
        LCMemError: It is there, and in none that is left out anyway.
    """
    inner = Path(str(error.filename)).relative_to(root).parts
    if isinstance(error, FileNotFoundError) or any(part.startswith(".") or part in UNLISTED for part in inner):
        return
    raise LCMemError(
        f"{error.filename}: cannot be listed ({error.strerror}), so its pictures would be missing; make it readable, "
        "or give a table of the pictures that are meant"
    ) from error


def _is_new(folder: str, root: str, seen: set[str]) -> bool:
    """Whether to walk a sub-folder: each once, and those below the root by their own names, not by a link's.

    A link to a folder above would never end, or bring what lies beside the root.
    """
    real = os.path.realpath(folder)
    beside = Path(real).is_relative_to(root) or Path(root).is_relative_to(real)
    new = real not in seen and not (os.path.islink(folder) and beside)
    if new:
        seen.add(real)
    return new


def list_zip(archive: Path) -> Listing:
    """As for a folder, for a zip file.

    Raises:
        LCMemError: It is not a zip file.
    """
    listing = Listing()
    if not archive.is_file():  # opening a pipe would wait for ever
        raise LCMemError(f"{archive}: not a file; give a zip file or a folder")
    try:
        with zipfile.ZipFile(archive) as opened:
            seen = set[str]()
            for member in sorted(opened.namelist()):
                name = member.replace("\\", "/")  # as some programs of Windows write it
                if name.startswith("/") or ".." in PurePosixPath(name).parts:
                    listing.ignored[OUTSIDE] += 1
                elif name in seen:
                    listing.ignored[TWICE] += 1
                elif not name.endswith("/"):
                    seen.add(name)
                    path = f"{os.path.abspath(archive)}/{name}"
                    listing.add(path, name, PurePosixPath(name).parts[:-1], partial(_member_head, opened, member))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise LCMemError(f"{archive}: not a zip file that can be read ({error}); pack it again") from error
    return listing


def file_head(path: str) -> bytes:
    """The first bytes of a file; none of one that cannot be read."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return b""
    with open(path, "rb") as stream:
        return stream.read(HEAD)


def _member_head(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as stream:
            return stream.read(HEAD)
    except (RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile, EOFError):
        return b""  # encrypted, packed by a method that Python lacks, or damaged: reading says so, by its suffix


def table_of(found: list[Found], dataset: str) -> pd.DataFrame:
    """Split and identity from the names of folders: that of a split, and the innermost one."""
    level = split_level([folders for _, folders in found])
    rows = []
    for path, folders in found:
        at, split = split_of(folders, level)
        own = bool(folders) and at != len(folders) - 1 and folders[-1] not in (*SPLITS, "_")
        rows.append((path, folders[-1] if own else "", split, dataset))
    table = pd.DataFrame(rows, columns=COLUMNS, dtype=str)
    if table["identity"].nunique() == 1:  # one folder of pictures inside another says nothing about whose they are
        table["identity"] = ""
    return table.assign(identity=composed(table["identity"]), dataset=composed(table["dataset"]))


def split_level(folders: list[tuple[str, ...]]) -> int | None:
    """How deep the folders of splits lie, if all folders there are named like splits, whatever the spelling.

    Anywhere else such a name may be a person's: ``Dev`` among other people is none of a split.
    """
    for level in range(max(map(len, folders), default=0)):
        named = [SPELT.fullmatch(name) for name in {inner[level] for inner in folders if len(inner) > level}]
        splits = {match.lastgroup for match in named if match is not None}
        if None not in named and ("train" in splits or len(splits) > 1):
            return level
    return None


def split_of(folders: tuple[str, ...], level: int | None) -> tuple[int | None, str]:
    """Position of the split's folder among those that a picture is in, and the split; (None, "") without one."""
    if level is not None and level < len(folders):
        match = SPELT.fullmatch(folders[level])
        return level, str(match.lastgroup) if match else ""
    at = next((at for at, folder in enumerate(folders) if folder in SPLITS), None)
    return at, "" if at is None else folders[at]


def ignored_text(ignored: Mapping[str, int]) -> str:
    """How many files of which suffix are no pictures, and what to do about those that may hold some."""
    parts = []
    for suffix, count in sorted(ignored.items(), key=lambda item: (-item[1], item[0])):
        remedy = next((text for suffixes, text in REMEDIES.items() if suffix in suffixes), "")
        parts.append(f"{count} × {suffix}" + (f" ({remedy})" if remedy else ""))
    return ", ".join(parts)


def match_identities(paths: Iterable[str], pattern: str) -> list[str]:
    """What a regular expression (its first group, if it has one) finds in each path; "" where it does not fit.

    Raises:
        LCMemError: It is none, or fits nowhere.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise LCMemError(f"identity pattern {pattern!r} is not a regular expression: {error}") from error
    matches = [compiled.search(path) for path in paths]
    if not any(matches):
        raise LCMemError(f"identity pattern {pattern!r} fits none of the {len(matches)} paths")
    return ["" if match is None else match.group(1 if compiled.groups else 0) or "" for match in matches]
