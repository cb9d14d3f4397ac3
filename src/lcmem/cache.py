"""Arrays that are made once from a manifest and then memory-mapped."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lcmem.pictures.content import file_stamp
from lcmem.pictures.loading import iterate_pictures
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar


def cached_array(
    folder: Path, key: dict[str, Any], shape: tuple[int, ...], dtype: type, fill: Callable[[np.ndarray], dict[str, Any]]
) -> tuple[np.ndarray, dict[str, Any]]:
    """A memory-mapped array, filled by ``fill`` unless the same key was filled before.

    Args:
        folder: Where caches lie; this one gets a sub-folder named by the key's hash.
        key: Everything that the content depends on.
        shape: Of the array.
        dtype: Of the array.
        fill: Writes into the array and returns JSON-ready notes.

    Returns:
        The array (read-only) and the notes.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    target, partial = folder / digest, folder / (digest + ".partial")
    if not target.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        array = np.lib.format.open_memmap(partial / "array.npy", mode="w+", dtype=dtype, shape=shape)
        notes = fill(array)
        array.flush()
        del array  # Windows renames no folder with a mapped file in it
        (partial / "notes.json").write_text(json.dumps(notes), encoding="utf-8")
        partial.replace(target)
    return np.load(target / "array.npy", mmap_mode="r"), json.loads((target / "notes.json").read_text(encoding="utf-8"))


def cached_pictures(manifest: Manifest, size: int, folder: Path) -> tuple[np.ndarray, Manifest, list[str]]:
    """Decode every picture once.

    Returns:
        ``[N, 3, size, size]`` uint8, the manifest of the pictures that could be read, and why the others could not.
    """

    def fill(array: np.ndarray) -> dict[str, Any]:
        kept: list[int] = []
        skipped: list[str] = []
        with progress_bar("decoding pictures", len(manifest)) as advance:
            for batch in iterate_pictures(manifest.paths, size, workers=2):
                array[len(kept) : len(kept) + len(batch.indices)] = batch.pictures.numpy()
                kept += batch.indices
                skipped += [reason for _, reason in batch.failures]
                advance(len(batch.indices) + len(batch.failures))
        return {"kept": kept, "skipped": skipped}

    stamps = "\n".join(f"{path} {file_stamp(path)}" for path in manifest.paths)
    key = {"what": "pictures", "paths": hashlib.sha256(stamps.encode()).hexdigest(), "size": size}
    array, notes = cached_array(folder, key, (len(manifest), 3, size, size), np.uint8, fill)
    return array[: len(notes["kept"])], manifest.rows(notes["kept"]), notes["skipped"]
