"""The card of a store: what its rows are, and what they were made with."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lcmem.errors import LCMemError
from lcmem.files import read_json, write_json

VERSION = 2
SHARD_ROWS = 65536
"""Rows of a full shard, unless the card says something else: 134 MB of 512 features."""


class Kind(NamedTuple):
    """How messages speak of a kind of store."""

    noun: str
    rows: str
    maker: str
    command: str


KINDS = {
    "latents": Kind("a latent store", "latents", "encoder, size or number of views", "lcmem encode"),
    "atlas": Kind("an atlas", "features", "model", "lcmem index"),
    "features": Kind("a store of features", "features", "model", "the command"),
    "pictures": Kind("a store of decoded pictures", "pictures", "size", "the command"),
}


def is_store(folder: str | os.PathLike[str], kind: str) -> bool:
    """Whether a folder is a store of this kind, one of :data:`KINDS`: it has the card of one."""
    return _path(folder, kind).is_file()


def _path(folder: str | os.PathLike[str], kind: str) -> Path:
    """Of the card of a store."""
    return Path(folder) / f"{kind}.json"


@dataclass(frozen=True)
class Card:
    """What all rows of a store have in common. It never changes.

    Attributes:
        kind: One of :data:`KINDS`; the card's file is called so.
        maker: All that the rows depend on beside the pictures' content. Rows of any other maker are refused.
        title: The maker in words, for messages.
        shape: Of a row.
        dtype: Of a row, as NumPy names it.
        about: What else is worth knowing; it is not compared.
        shard_rows: Rows of a full shard.
    """

    kind: str
    maker: dict[str, Any]
    title: str
    shape: tuple[int, ...]
    dtype: str
    about: dict[str, Any] = field(default_factory=dict)
    shard_rows: int = SHARD_ROWS

    @classmethod
    def read(cls, folder: Path, kind: str) -> "Card":
        """The card in a folder.

        Raises:
            LCMemError: It is missing, damaged, of another kind or of another version.
        """
        path, words = _path(folder, kind), KINDS[kind]
        if not is_store(folder, kind):
            raise LCMemError(f"{folder}: not {words.noun}, {path.name} is missing; {words.command} makes one")
        try:
            content = read_json(path)
            found = content.pop("kind"), content.pop("version", None)
            if found != (kind, VERSION):
                raise ValueError(f"kind {found[0]!r}, version {found[1]!r} instead of {kind!r}, {VERSION}")
            return cls(kind, **content | {"shape": tuple(content["shape"])})
        except (LCMemError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LCMemError(
                f"{path}: not the card of {words.noun} ({error}); delete its folder, or choose another one, and run "
                f"{words.command} again"
            ) from error

    def claim(self, folder: Path) -> "Card":
        """The card of the store in a folder: the one that is there, or this one for a new store.

        Raises:
            LCMemError: Another store is there.
        """
        for kind in KINDS.keys() - {self.kind}:
            if is_store(folder, kind):
                raise LCMemError(f"{folder}: holds {KINDS[kind].noun}, not {self.words.noun}; choose another folder")
        if is_store(folder, self.kind):
            found = Card.read(folder, self.kind)
            found.check_same(self, folder)
            return found
        folder.mkdir(parents=True, exist_ok=True)
        content = asdict(self)
        write_json({"kind": content.pop("kind"), "version": VERSION, **content}, _path(folder, self.kind))
        return self

    def check_same(self, other: "Card", folder: Path) -> None:
        """Whether rows of the other card may join this one's.

        Raises:
            LCMemError: They were made with something else.
        """
        if (self.maker, self.shape, self.dtype) != (other.maker, other.shape, other.dtype):
            mine, theirs = self.title, other.title
            if mine == theirs:
                mine, theirs = (f"rows of {' × '.join(map(str, card.shape))} {card.dtype}" for card in (self, other))
            raise LCMemError(
                f"{folder}: holds {self.words.rows} of another {self.words.maker} ({mine}, not {theirs}); "
                f"give the same {self.words.maker}, choose another folder or delete this one"
            )

    @property
    def words(self) -> Kind:
        """How messages speak of it."""
        return KINDS[self.kind]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row on disk."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize
