"""Files of the pictures that arrays, tar shards and Parquet files hold, with a table of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import replacing, write_picture, write_table
from lcmem.pictures.containers import count_pictures, read_container, suffix_of
from lcmem.progress import progress_bar

TABLE, SKIPPED = "pictures.csv", "skipped.csv"


class Unpacked(NamedTuple):
    """What was unpacked.

    Attributes:
        table: ``path, source, name`` of each picture, and what its file says of it.
        skipped: ``source, name, reason`` of each that cannot be used.
    """

    table: pd.DataFrame
    skipped: pd.DataFrame


def unpack(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Unpacked:
    """Write the pictures of some files into a folder, with ``pictures.csv`` and ``skipped.csv``.

    Files of pictures stay what they are, byte by byte; rows of arrays become PNG files. No folder is made in it, which
    would be taken for a person.

    Args:
        sources: Files as of :func:`lcmem.pictures.containers.read_container`.
        out: The folder.

    Raises:
        LCMemError: A file cannot be read, two are called alike, or there is no usable picture.
    """
    folder, paths = Path(out), [Path(source) for source in sources]
    stems = [path.name.partition(".")[0] for path in paths]
    if again := next((stem for at, stem in enumerate(stems) if stem in stems[:at]), None):
        raise LCMemError(f"two files are called {again}: unpack them into folders of their own")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).unlink(missing_ok=True)  # it says that the folder is whole
    rows, skipped = [], []
    with progress_bar("unpacking", sum(map(count_pictures, paths))) as advance:
        for path, stem in zip(paths, stems, strict=True):
            for at, item in enumerate(read_container(path)):
                if item.reason:
                    skipped.append({"source": path.name, "name": item.name, "reason": item.reason})
                else:
                    target = _written(item.picture, folder / f"{stem}-{at:06d}")
                    known = {"path": target.name, "source": path.name, "name": item.name}
                    rows.append({name: value for name, value in item.about.items() if name not in known} | known)
                advance(1)
    if not rows:
        why = f", for example {skipped[0]['reason']}" if skipped else ""
        raise LCMemError(f"{', '.join(map(str, paths))}: no usable pictures{why}")
    table, left = pd.DataFrame(rows), pd.DataFrame(skipped, columns=["source", "name", "reason"])
    first = ["path", "source", "name"]
    table = table[first + [name for name in table if name not in first]]
    write_table(left, folder / SKIPPED)
    write_table(table, folder / TABLE)
    return Unpacked(table, left)


def _written(picture: bytes | np.ndarray, place: Path) -> Path:
    if isinstance(picture, np.ndarray):
        target = place.with_name(f"{place.name}.png")
        write_picture(picture, target)
        return target
    target = place.with_name(f"{place.name}{suffix_of(picture)}")
    with replacing(target) as partial:
        partial.write_bytes(picture)
    return target
