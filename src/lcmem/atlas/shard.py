"""A shard of an atlas: pictures and their features in one uncompressed Arrow file, memory-mapped."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.pictures.manifest import Manifest

COLUMNS = ["path", "stamp", "sha256", "identity", "dataset"]
"""What is known of a picture beside its features; sha256 as of :func:`lcmem.pictures.content.content_table`."""
SHARD_ROWS = 65536
"""Pictures in a full shard: 134 MB of 512 features. A million pictures are sixteen open files."""


@dataclass(frozen=True, eq=False)
class Shard:
    """Rows of an atlas.

    Attributes:
        path: The file; None while it is not written yet.
        table: The columns :data:`COLUMNS` and ``features``.
        mapped: The features of a file once more, as a map whose pages :func:`lcmem.scan.chunked.release` can let go.
    """

    path: Path | None
    table: pa.Table
    mapped: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def features(self) -> np.ndarray:
        """``[n, D]`` float32, read-only: the mapped file itself, not a copy."""
        if self.mapped is not None:
            return self.mapped
        column = self.table["features"].chunk(0)
        return column.flatten().to_numpy(zero_copy_only=True).reshape(len(self), column.type.list_size)

    def without(self, paths: pa.Array) -> "Shard":
        """The rows of other pictures; itself if none of these is in it."""
        gone = pc.is_in(self.table["path"], value_set=paths)
        return Shard(None, self.table.filter(pc.invert(gone))) if pc.any(gone).as_py() else self


def shard_schema(features: int) -> pa.Schema:
    """Of every shard with D features."""
    strings = [pa.field(name, pa.string(), nullable=False) for name in COLUMNS]
    return pa.schema([*strings, pa.field("features", pa.list_(pa.float32(), features), nullable=False)])


def new_shard(manifest: Manifest, contents: pd.DataFrame, features: np.ndarray, dimension: int) -> Shard:
    """Rows that are not on disk yet.

    Args:
        manifest: N pictures.
        contents: Their ``stamp`` and ``sha256``, in the same order.
        features: ``[N, D]``.
        dimension: D.

    Raises:
        LCMemError: Another number of rows or features, a feature that is not finite, or a picture without a hash.
    """
    unread = (contents["sha256"] == "").to_numpy()
    if unread.any():
        raise LCMemError(f"{manifest.paths[int(unread.argmax())]}: cannot be read, so nothing of it can be stored")
    if features.shape != (len(manifest), dimension):
        raise LCMemError(f"features of shape {features.shape} for {len(manifest)} pictures × {dimension} features")
    finite = np.isfinite(features).all(1)
    if not finite.all():
        path = manifest.paths[int(finite.argmin())]
        raise LCMemError(f"{path}: its features are not finite; leave the picture out or take another model")
    known = manifest.table.assign(stamp=contents["stamp"].to_numpy(), sha256=contents["sha256"].to_numpy())
    flat = pa.array(np.ascontiguousarray(features, dtype=np.float32).reshape(-1))
    columns = [pa.array(known[name].to_list(), pa.string()) for name in COLUMNS]
    values = pa.FixedSizeListArray.from_arrays(flat, dimension)
    return Shard(None, pa.Table.from_arrays([*columns, values], schema=shard_schema(dimension)))


def join_shards(shards: list[Shard], added: Shard) -> list[Shard]:
    """Put rows behind a list of shards, joined with the last ones that are no larger.

    As in a binary counter, every row is copied a few times only, and few small shards remain.
    """
    head, tables, count = list(shards), [added.table], len(added)
    while head and len(head[-1]) <= count and len(head[-1]) + count <= SHARD_ROWS:
        last = head.pop()
        tables.insert(0, last.table)
        count += len(last)
    return [*head, Shard(None, pa.concat_tables(tables))] if count else head


def write_shard(path: Path, shard: Shard) -> None:
    """Write a file that is whole and on the disk before anything refers to it."""
    with replacing(path) as partial, partial.open("wb") as file:
        with pa.ipc.new_file(file, shard.table.schema) as writer:
            writer.write_table(shard.table.combine_chunks())  # one batch, so that the features are one block
        file.flush()
        os.fsync(file.fileno())


def read_shard(path: Path, rows: int, dimension: int) -> Shard:
    """Open a shard; its rows are read from the disk when they are used.

    Raises:
        LCMemError: It is missing, damaged, or holds something else than the atlas's card says.
    """
    if not path.is_file():
        raise LCMemError(f"{path}: missing; run lcmem index (or the audit) again, its pictures are then done anew")
    try:
        file = pa.memory_map(str(path))
        table = pa.ipc.open_file(file).read_all()
        table.validate()
        found = table.schema.field("features").type.list_size
        if found != dimension:
            raise ValueError(f"{found} features a picture instead of {dimension}")
        if not table.schema.equals(shard_schema(dimension)):
            raise ValueError(f"columns {', '.join(table.schema.names)}")
        if table.num_rows != rows or table["features"].num_chunks != 1:
            raise ValueError(f"{table.num_rows} pictures instead of {rows} in one block")
        mapped = _mapped(path, table, file)
    except (OSError, ValueError, KeyError, AttributeError, pa.ArrowException) as error:
        raise damaged(path, error) from error
    return Shard(path, table, mapped)


def _mapped(path: Path, table: pa.Table, file: pa.MemoryMappedFile) -> np.ndarray | None:
    """``[n, D]``, from where Arrow found them in the file."""
    values = table["features"].chunk(0).flatten()
    if not len(values):
        return None
    file.seek(0)
    offset = values.buffers()[1].address - file.read_buffer().address + 4 * values.offset
    return np.memmap(path, np.float32, "r", offset=offset, shape=(table.num_rows, len(values) // table.num_rows))


def damaged(path: Path | None, why: object) -> LCMemError:
    """The error for a shard that cannot be used, with the way out."""
    return LCMemError(f"{path}: damaged ({why}); delete this file, its pictures are then done anew")


def clean(folder: Path, listed: dict[str, int]) -> None:
    """Delete shards that the card does not list: what a killed run left behind, or what was replaced."""
    for path in folder.glob("shard-*.arrow*"):
        if path.name not in listed:
            with suppress(PermissionError):  # Windows keeps a file that is mapped; the next run deletes it
                path.unlink()
