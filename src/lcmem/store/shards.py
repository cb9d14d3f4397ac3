"""Shards of a store: ``00003.rows`` holds raw rows, ``00003.keys`` a line for each with its checksum and its key.

A row is written before its line, both reach the disk, and no shard is written to by a second run. So whatever kills a
writer, the whole lines are those of whole rows, and what is torn behind them is never looked at.
"""

import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from lcmem.errors import LCMemError
from lcmem.files import naming
from lcmem.store.card import Card

SHARDS = "shards"
LINES = np.dtype([("sum", "S8"), ("blank", "S1"), ("key", "S86"), ("end", "S1")])
"""A line of ``.keys``: CRC-32 of the row in hexadecimal digits, and the key, filled up with blanks."""


class Shards:
    """All shards of a store, each opened when it is first needed.

    Args:
        folder: Of the store.
        card: Of the store.
    """

    def __init__(self, folder: Path, card: Card) -> None:
        self.folder, self.card = folder, card
        self._lines: dict[int, np.ndarray] = {}
        self._maps: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        # a pickled memory map is a copy of the whole file: processes that are handed a store open their own
        return {"folder": self.folder.absolute(), "card": self.card, "_lines": {}, "_maps": {}}

    def path(self, number: int, suffix: str = "rows") -> Path:
        """Path of a shard's ``rows`` or ``keys``."""
        return self.folder / SHARDS / f"{number:05d}.{suffix}"

    def numbers(self) -> list[int]:
        """Numbers of the shards that have any file, in order."""
        files = (path for end in ("rows", "keys") for path in (self.folder / SHARDS).glob(f"*.{end}"))
        return sorted({int(path.stem) for path in files if path.stem.isdigit() and path.is_file()})

    def whole(self) -> list[int]:
        """Numbers of the shards that have both files."""
        return [
            number for number in self.numbers() if all(self.path(number, end).is_file() for end in ("rows", "keys"))
        ]

    def lines(self, number: int) -> np.ndarray:
        """The whole lines ``[n]`` of a shard, :data:`LINES`.

        Raises:
            LCMemError: The shard is not there.
        """
        if number not in self._lines:
            try:
                found = np.fromfile(self.path(number, "keys"), LINES)  # half a line at the end is not read
            except OSError as error:
                raise self._missing(number) from error
            whole = np.logical_and.accumulate(found["end"] == b"\n")  # a power cut can leave zeros
            self._lines[number] = found[whole]
        return self._lines[number]

    def keys(self, number: int) -> list[str]:
        """The keys ``[n]`` of a shard."""
        return [key.decode(errors="replace").rstrip() for key in self.lines(number)["key"].tolist()]

    def rows(self, number: int) -> np.ndarray:
        """The rows ``[n, …]`` of a shard, memory-mapped, read-only.

        Raises:
            LCMemError: The shard is missing or truncated, or its first or last row is not what was written.
        """
        if number not in self._maps:
            path, count = self.path(number), len(self.lines(number))
            if not path.is_file():
                raise self._missing(number)
            size, expected = path.stat().st_size, count * self.card.row_bytes
            if size < expected:
                raise self.damaged(number, f"truncated, {size} of {expected} bytes are left")
            mapped = np.memmap(path, self.card.dtype, "r", shape=(count, *self.card.shape)) if count else self._none()
            if count and self.altered(number, mapped, [0, count - 1]):
                raise self.damaged(number, "its rows are not what was written")
            self._maps[number] = mapped
        return self._maps[number]

    def _none(self) -> np.ndarray:
        return np.empty((0, *self.card.shape), self.card.dtype)

    def altered(self, number: int, rows: np.ndarray, at: Sequence[int]) -> int:
        """How many of these rows of a shard are not what was written."""
        sums = self.lines(number)["sum"]
        return sum(_checksum(rows[position]) != sums[position] for position in at)

    def damaged(self, number: int, why: str) -> LCMemError:
        """The error for a shard that cannot be used, with the way out."""
        path, command = self.path(number), self.card.words.command
        return LCMemError(
            f"{path}: damaged ({why}); delete this file and run {command} again, which encodes its pictures again"
        )

    def _missing(self, number: int) -> LCMemError:
        command = self.card.words.command
        return LCMemError(f"{self.path(number)}: missing; run {command} again, which encodes its pictures again")

    def delete(self, number: int) -> None:
        """Delete a shard. Windows keeps files that are mapped; they go the next time."""
        for suffix in ("keys", "rows"):  # rows without keys are nobody's
            with suppress(PermissionError):
                self.path(number, suffix).unlink(missing_ok=True)

    def delete_broken(self) -> None:
        """Delete shards without rows: one of their files was deleted, or a writer was killed at once."""
        whole = self.whole()
        for number in self.numbers():
            if number not in whole or not len(self.lines(number)):
                self.delete(number)


class Writer:
    """Appends rows to new shards.

    Args:
        shards: Of the store.
        first: Lowest number of a new shard; no number is used twice, so a shard always means the same rows.
    """

    def __init__(self, shards: Shards, first: int) -> None:
        self.shards, self.card, self.count = shards, shards.card, 0
        (shards.folder / SHARDS).mkdir(exist_ok=True)
        self.number = max([first - 1, *shards.numbers()])

    def append(self, keys: Sequence[str], rows: np.ndarray) -> None:
        """Add rows ``[n, …]`` and their keys; they are on the disk afterwards.

        Raises:
            LCMemError: Rows of another number or shape, or a key that is too long.
        """
        if rows.shape != (len(keys), *self.card.shape):
            raise LCMemError(f"{self.card.words.rows} of shape {rows.shape} for {len(keys)} × {self.card.shape}")
        for key in keys:
            if not key or len(key.encode()) > LINES["key"].itemsize:
                raise LCMemError(f"{key!r} is no key of a store: give 1 to {LINES['key'].itemsize} bytes")
        rows = np.ascontiguousarray(rows, self.card.dtype)
        while len(keys):
            if self.count % self.card.shard_rows == 0:
                self._begin()
            room = self.card.shard_rows - self.count
            self._write(keys[:room], rows[:room])
            keys, rows = keys[room:], rows[room:]

    def _begin(self) -> None:
        self.number, self.count = self.number + 1, 0
        self.shards.path(self.number, "keys").open("xb").close()

    def _write(self, keys: Sequence[str], rows: np.ndarray) -> None:
        _append(self.shards.path(self.number), rows.tobytes())
        lines = np.empty(len(keys), LINES)
        lines["sum"], lines["blank"], lines["end"] = [_checksum(row) for row in rows], b" ", b"\n"
        lines["key"] = [key.encode().ljust(LINES["key"].itemsize) for key in keys]
        _append(self.shards.path(self.number, "keys"), lines.tobytes())
        self.count += len(keys)


def _append(path: Path, data: bytes) -> None:
    with naming(path), path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could keep a line and lose its row


def _checksum(row: np.ndarray) -> bytes:
    return b"%08x" % zlib.crc32(row.tobytes())
