"""Pictures that a job is given from Python: on the disk already, or only in memory."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from lcmem.atlas.atlas import Atlas
from lcmem.errors import LCMemError
from lcmem.files import write_picture
from lcmem.pictures.batch import Batch, is_single, split_batch
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest, ManifestLike

Source: TypeAlias = ManifestLike | Atlas | Batch
"""A set of pictures: a folder, zip file, table, Manifest or atlas; a list of paths or of PIL pictures; an array
``[N, H, W, 3]`` or a tensor ``[N, 3, H, W]``."""


def counted(source: Any) -> Any:
    """A source whose pictures can be counted: one picture alone, or what a generator yields, becomes a list."""
    if source is None or isinstance(source, str | os.PathLike | Manifest | Atlas | list | tuple):
        return source
    if isinstance(source, Iterator | set) or getattr(getattr(source, "dtype", None), "kind", "") in ("O", "U", "S"):
        return list(source)  # of a generator, or an array or a column of paths
    return source if hasattr(source, "__len__") and not is_single(source) else [source]


def in_memory(source: Any) -> bool:
    """Whether these are pictures without files."""
    if source is None or isinstance(source, str | os.PathLike | Manifest | Atlas):
        return False
    return not (isinstance(source, list | tuple) and all(isinstance(each, str | os.PathLike) for each in source))


@contextmanager
def on_disk(
    inputs: Mapping[str, Source | None], out: str | os.PathLike[str] | None
) -> Iterator[dict[str, ManifestLike | Atlas]]:
    """The inputs that were given, those in memory as PNG files, so that results can name and show them.

    Args:
        inputs: By their names.
        out: Folder of the job: pictures in memory are kept in ``out/pictures``. None keeps them while it runs.

    Raises:
        LCMemError: No pictures at all, or arrays that are none.
    """
    with tempfile.TemporaryDirectory(prefix="lcmem-") as spare:
        folder = Path(out or spare) / "pictures"
        given = {name: source for name, source in inputs.items() if source is not None}
        yield {name: _source(source, folder / name, name) for name, source in given.items()}


def _source(source: Source, folder: Path, name: str) -> ManifestLike | Atlas:
    if isinstance(source, str | os.PathLike | Manifest | Atlas):
        return source
    if not len(source):
        raise LCMemError(f"{name}: no pictures")
    if not in_memory(source):
        return Manifest.of(os.path.abspath(str(each)) for each in source)
    return Manifest.of(_written(each, folder / f"{at:06d}.png") for at, each in enumerate(split_batch(source)))


def _written(picture: Any, target: Path) -> str:
    write_picture(load_levels(picture), target)
    return os.path.abspath(target)
