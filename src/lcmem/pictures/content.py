"""What a picture's file holds: a cheap stamp that tells whether it changed, and a hash of its bytes."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from lcmem.errors import PictureError
from lcmem.pictures.loading import default_workers
from lcmem.pictures.paths import file_stamp, read_bytes, split_slice
from lcmem.progress import progress_bar

CHUNK = 1024
"""Files that are handed to the threads at once, so that a list of millions does not become millions of tasks."""


def content_table(paths: list[str], known: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    """Stamp and content hash of every picture.

    Args:
        paths: What :func:`lcmem.pictures.image.load_picture` takes.
        known: Hashes of an earlier run by path and stamp: where both are the same, the file is not read again.

    Returns:
        One row for each path, in order: ``path``, ``stamp``, ``sha256`` (of the file's bytes, with the slice's number
        and the depth behind it where the path names them; "" if the file cannot be read) and ``reason`` (why it cannot,
        else "").
    """
    stamps = [file_stamp(path) for path in paths]
    keys = [known.get(pair, "") for pair in zip(paths, stamps, strict=True)]
    unknown = [split_slice(path)[0] for path, key in zip(paths, keys, strict=True) if not key]
    hashed = _hash_files(dict.fromkeys(unknown))  # a volume once, not once for each slice
    reasons = [""] * len(paths)
    for row, path in enumerate(paths):
        if not keys[row]:
            file, _ = split_slice(path)
            digest, reasons[row] = hashed[file]
            keys[row] = digest and digest + path.removeprefix(file)
    return pd.DataFrame({"path": paths, "stamp": stamps, "sha256": keys, "reason": reasons}, dtype=str)


def _hash_files(files: Iterable[str]) -> dict[str, tuple[str, str]]:
    pending, found = list(files), {}
    with ThreadPoolExecutor(default_workers()) as threads, progress_bar("looking for changes", len(pending)) as advance:
        for start in range(0, len(pending), CHUNK):
            part = pending[start : start + CHUNK]
            for file, result in zip(part, threads.map(_hash_file, part), strict=True):
                found[file] = result
                advance(1)
    return found


def _hash_file(file: str) -> tuple[str, str]:
    """Hash and "", or "" and why there is none."""
    try:
        return hashlib.sha256(read_bytes(file)).hexdigest(), ""
    except FileNotFoundError:
        return "", f"{file}: no such file"
    except PictureError as error:
        return "", str(error)
    except Exception as error:  # OSError, and what zipfile and zlib raise on damaged archives
        return "", f"{file}: cannot be read ({error})"


def linked_to(paths: Iterable[str]) -> list[str]:
    """For each path the first of the list that is the same file on the disk, by a symbolic or hard link; else ""."""
    first: dict[tuple[int, int, str], str] = {}
    return [_first_name(path, first) for path in paths]


def _first_name(path: str, first: dict[tuple[int, int, str], str]) -> str:
    file, _ = split_slice(path)
    try:
        status = os.stat(file)
    except OSError:  # a member of an archive, or gone
        return ""
    name = first.setdefault((status.st_dev, status.st_ino, path.removeprefix(file)), path)
    return "" if name == path else name
