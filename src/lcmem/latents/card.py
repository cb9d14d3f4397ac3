"""The card of a latent store: which encoder, at which size, and how its rows look on disk."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lcmem.encoders import EncoderCard
from lcmem.errors import LCMemError
from lcmem.files import replacing

CARD = "store.json"
VERSION = 1
SHARD_ROWS = 4096
"""Pictures in a full shard: 67 MB of 4×32×32 latents with mirror images."""


@dataclass(frozen=True)
class StoreCard:
    """What every row of a store has in common.

    Attributes:
        encoder: The autoencoder's card, as :meth:`lcmem.encoders.EncoderCard.to_dict` gives it.
        size: Side in pixels of the square that pictures were squeezed into.
        views: 1 for the pictures as they are, 2 with their mirror images.
        shape: Of one latent, ``(C, h, w)``.
        shard_rows: Pictures in a full shard.
    """

    encoder: dict[str, Any]
    size: int
    views: int
    shape: tuple[int, int, int]
    shard_rows: int

    @classmethod
    def of(cls, encoder: EncoderCard, size: int, views: int) -> "StoreCard":
        """The card of a new store.

        Raises:
            LCMemError: The encoder cannot take pictures of that size.
        """
        if size < 1 or size % encoder.downsample:
            raise LCMemError(f"size {size} is not a multiple of {encoder.downsample}, as {encoder.name} needs it")
        side = size // encoder.downsample
        return cls(encoder.to_dict(), size, views, (encoder.channels, side, side), SHARD_ROWS)

    @classmethod
    def read(cls, folder: Path) -> "StoreCard":
        """The card in a folder.

        Raises:
            LCMemError: It is missing, damaged, of another kind or of a later version.
        """
        path = folder / CARD
        if not path.is_file():
            raise LCMemError(f"{folder}: not a latent store, {CARD} is missing; lcmem encode makes one")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            kind, version = content.pop("kind"), content.pop("version")
            if (kind, version) != ("latents", VERSION):
                raise ValueError(f"kind {kind!r}, version {version!r} instead of 'latents', {VERSION}")
            return cls(**content | {"shape": tuple(content["shape"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LCMemError(f"{path}: not the card of a latent store ({error}); choose another folder") from error

    def write(self, folder: Path) -> None:
        """Save it in a folder."""
        content = {"kind": "latents", "version": VERSION, **asdict(self)}
        with replacing(folder / CARD) as partial:
            partial.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def check_same(self, other: "StoreCard", folder: Path) -> None:
        """Whether latents of the other card may join this one's.

        Raises:
            LCMemError: Another encoder, size or number of views.
        """
        if self._identity() != other._identity():
            raise LCMemError(
                f"{folder}: holds latents of {self.describe()}, not of {other.describe()}; "
                "choose another folder or delete this one"
            )

    def _identity(self) -> tuple[Any, ...]:
        # the weights' hash, not the source: the same encoder may be loaded from another place
        return self.encoder["sha256"], self._use, self.size, self.views, self.shape

    def describe(self) -> str:
        """In words, for messages."""
        mirror = "with" if self.views == 2 else "without"
        name, sha256 = self.encoder["name"], self.encoder["sha256"]
        return (
            f"{name} (sha256 {sha256[:12]}…, {', '.join(self._use)}) at {self.size}×{self.size} pixels "
            f"{mirror} mirror images"
        )

    @property
    def _use(self) -> tuple[str, str]:
        """How the encoder was used: the range of its input, and mode or sample."""
        return self.encoder.get("input_range", "symmetric"), self.encoder.get("latents", "mode")

    @property
    def row_shape(self) -> tuple[int, int, int, int]:
        """``(views, C, h, w)``."""
        return (self.views, *self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row on disk."""
        return int(np.prod(self.row_shape)) * np.dtype(np.float16).itemsize
