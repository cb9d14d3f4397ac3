"""Files that hold many pictures, as generators and data sets come: arrays, tar shards, Parquet files with pictures."""

import io
import json
import math
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from lcmem.errors import LCMemError, PictureError
from lcmem.pictures.batch import check_range, split_batch
from lcmem.pictures.image import load_levels
from lcmem.pictures.listing import SUFFIXES
from lcmem.pictures.paths import FORMATS, MAX_BYTES

ARRAYS, TARS, PARQUET = (".npz", ".npy"), (".tar", ".tar.gz", ".tgz"), (".parquet",)
CONTAINERS = ARRAYS + TARS + PARQUET
"""Suffixes of what :func:`read_container` reads, in lower case."""
BESIDE = ("json", "cls")
"""What is read of a sample in a tar file beside its pictures."""
ROWS = 256
"""Rows of a Parquet file in memory at once."""


class Item(NamedTuple):
    """A picture of a container.

    Attributes:
        name: What it is called there.
        picture: The bytes of its file, or ``[3, H, W]`` uint8; empty where it cannot be used.
        about: What else is said of it, by column.
        reason: Why it cannot be used; "" if it can.
    """

    name: str
    picture: bytes | np.ndarray
    about: dict[str, Any]
    reason: str = ""


def is_container(path: Path) -> bool:
    """Whether a file may hold pictures itself, by its name."""
    return path.name.lower().endswith(CONTAINERS)


def read_container(path: Path) -> Iterator[Item]:
    """The pictures of a file one after the other.

    - ``.npz`` and ``.npy``: an array ``[N, H, W, 3]`` or ``[N, 3, H, W]``, uint8 or in [0, 1], as samplers and those
      who compute FID keep samples; in an ``.npz`` arrays of N numbers beside it are columns.
    - tar files, such as WebDataset's shards: pictures, with the numbers and words of ``.json`` and the class of
      ``.cls`` of the same name as columns.
    - Parquet: a column of pictures' bytes, or of ``{bytes, path}`` as Hugging Face's data sets have it; the other
      columns of numbers and words beside it.

    Raises:
        LCMemError: It can't be read, or holds no pictures.
    """
    if not path.is_file():
        raise LCMemError(f"{path}: no such file")
    name = path.name.lower()
    try:
        if name.endswith(ARRAYS):
            yield from _of_array(path)
        elif name.endswith(TARS):
            yield from _of_tar(path)
        elif name.endswith(PARQUET):
            yield from _of_parquet(path)
        else:
            raise LCMemError(f"{path}: holds no pictures that are known; expected one of {', '.join(CONTAINERS)}")
    except LCMemError as error:
        raise error if str(path) in str(error) else LCMemError(f"{path}: {error}") from error
    except (
        OSError,
        ValueError,
        EOFError,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise LCMemError(f"{path}: cannot be read ({error})") from error


def has_pictures_only(path: Path) -> bool:
    """Whether a Parquet file has a column of pictures, and none of paths."""
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError):  # what is wrong is said where it is read
        return False
    return "path" not in schema.names and any(_holds_pictures(field.type) for field in schema)


def count_pictures(path: Path) -> int:
    """How many pictures :func:`read_container` will find, at most; 0 where it cannot be read."""
    name = path.name.lower()
    try:
        if name.endswith(ARRAYS):
            return _pictures_of(path)[0].shape[0]
        if name.endswith(TARS):
            with tarfile.open(path) as archive:
                return sum(PurePosixPath(each.name).suffix.lower() in SUFFIXES for each in archive)
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    except Exception:  # what is wrong is said where it is read
        return 0


class _Array:
    """An array of a file, read row by row: a set of samples may be larger than the memory.

    Args:
        opened: Gives the file, at its beginning.

    Raises:
        ValueError: It is no array of numbers.
    """

    def __init__(self, opened: Callable[[], IO[bytes]]) -> None:
        self.opened = opened
        with opened() as file:
            self.shape, self.dtype = self._head(file)

    def _head(self, file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = read(file)
        if dtype.hasobject:
            raise ValueError("an array of objects, which are not loaded")
        if columns_first and len(shape) > 1:
            raise ValueError("an array in Fortran's order; save numpy.ascontiguousarray of it")
        return shape, dtype

    def rows(self) -> Iterator[np.ndarray]:
        """Rows ``[...]`` one after the other."""
        shape = self.shape[1:]
        size = self.dtype.itemsize * math.prod(shape)
        with self.opened() as file:
            self._head(file)
            for _ in range(self.shape[0]):
                data = file.read(size)
                if len(data) < size:
                    raise ValueError("it is cut off")
                yield np.frombuffer(data, self.dtype).reshape(shape)


def _arrays_of(path: Path) -> dict[str, _Array]:
    if path.name.lower().endswith(".npy"):
        return {"array": _Array(lambda: path.open("rb"))}
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
    return {name.removesuffix(".npy"): _Array(partial(_member, path, name)) for name in names}


def _member(path: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(name)  # which keeps the archive open as long as itself


def _pictures_of(path: Path) -> tuple[_Array, dict[str, _Array]]:
    """The array of pictures, and the others by their names."""
    arrays = _arrays_of(path)
    found = [name for name, array in arrays.items() if len(array.shape) == 4]
    if len(found) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise LCMemError(f"{path}: one array [N, H, W, 3] or [N, 3, H, W] is wanted, and there are {shapes}")
    return arrays.pop(found[0]), arrays


def _of_array(path: Path) -> Iterator[Item]:
    pictures, others = _pictures_of(path)
    count = pictures.shape[0]
    if pictures.dtype.kind == "f":  # of all: one picture alone may look as if it were in [0, 1]
        check_range(np.array([[each.min(), each.max()] for each in pictures.rows()]))
    columns = {name: array.rows() for name, array in others.items() if array.shape == (count,)}
    for at, row in enumerate(pictures.rows()):
        about = {name: next(values).item() for name, values in columns.items()}
        try:
            (picture,) = split_batch(row[None])
            yield Item(str(at), load_levels(picture), about)
        except PictureError as error:
            yield Item(str(at), b"", about, str(error))


def _of_tar(path: Path) -> Iterator[Item]:
    """WebDataset keeps the files of one sample beside each other, called alike up to the first dot."""
    with tarfile.open(path) as archive:
        key, files = "", dict[str, bytes]()
        for member in archive:
            place = PurePosixPath(member.name)
            stem, _, suffix = place.name.partition(".")
            wanted = place.suffix.lower() in SUFFIXES or suffix.lower() in BESIDE
            if not (stem and wanted and member.isfile()):
                continue
            if (mine := str(place.parent / stem)) != key:
                yield from _sample(key, files)
                key, files = mine, {}
            data = archive.extractfile(member) if member.size < MAX_BYTES else None
            files[suffix.lower()] = data.read() if data else b""
        yield from _sample(key, files)


def _sample(key: str, files: dict[str, bytes]) -> Iterator[Item]:
    about: dict[str, Any] = {}
    try:
        told = json.loads(files.get("json", b"{}"))
        about = {name: value for name, value in told.items() if isinstance(value, int | float | str)}
    except (ValueError, AttributeError):  # no JSON, or a list: the picture is one all the same
        pass
    if "cls" in files:
        about["label"] = files["cls"].decode(errors="replace").strip()
    for suffix, data in files.items():
        if suffix not in BESIDE:
            yield _file(f"{key}.{suffix}", data, about)


def _of_parquet(path: Path) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pq.ParquetFile(path)
    schema = source.schema_arrow
    found = [field.name for field in schema if _holds_pictures(field.type)]
    if not found:
        raise LCMemError(f"{path}: no column of pictures' bytes (found: {', '.join(schema.names)})")
    others = [field.name for field in schema if not (pa.types.is_nested(field.type) or pa.types.is_binary(field.type))]
    at = 0
    for batch in source.iter_batches(ROWS, columns=[found[0], *others]):
        for row in batch.to_pylist():
            told = row.pop(found[0])
            picture = told if isinstance(told, dict) else {"bytes": told}
            yield _file(str(picture.get("path") or at), picture["bytes"] or b"", row)
            at += 1


def _holds_pictures(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _file(name: str, data: bytes, about: dict[str, Any]) -> Item:
    """A picture by the bytes of its file, if that is one."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS):
            return Item(name, data, about)
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, … on damaged files
        return Item(name, b"", about, f"not a readable picture: {error}" if data else "no bytes")


def suffix_of(data: bytes) -> str:
    """The suffix of a picture's file, by its content."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(str(picture.format), f".{picture.format}".lower())
