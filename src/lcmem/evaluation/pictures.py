"""The pictures of a benchmark, decoded once and named by what their files hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.evaluation.features import cached_features
from lcmem.pictures.manifest import Manifest
from lcmem.store.pictures import Decoded, decode_pictures

SIZE = 256
"""Side in pixels at which every detector gets the pictures, unless something else is asked for."""


@dataclass(frozen=True)
class BenchmarkPictures(Decoded):
    """Pictures that every detector gets alike; features are kept by their content hashes."""

    @classmethod
    def read(
        cls, manifest: Manifest, folder: Path, size: int = SIZE, keys: Sequence[str] | None = None
    ) -> "BenchmarkPictures":
        """Decode the pictures, or find them decoded.

        Args:
            manifest: The pictures.
            folder: Where decoded pictures are kept.
            size: Side of the square that every picture is squeezed into, in pixels.
            keys: Content hashes of the pictures, "" where one is not known; by default they are found.

        Raises:
            LCMemError: Not one of them can be read.
        """
        found = decode_pictures(manifest, size, folder, keys)
        if not len(found.manifest):
            raise LCMemError(f"none of the {len(manifest)} pictures can be read, for example {found.skipped[0][1]}")
        return cls(**vars(found))

    def __len__(self) -> int:
        return len(self.manifest)

    @property
    def size(self) -> int:
        """Side S in pixels."""
        return int(self.pixels.shape[-1])

    @property
    def datasets(self) -> list[str]:
        """The names of the datasets, in order."""
        return sorted(self.manifest.table["dataset"].unique())

    def at(self, rows: np.ndarray) -> Tensor:
        """The pictures at some positions ``[B]``, as uint8 ``[B, 3, S, S]``."""
        return torch.from_numpy(self.pixels[rows])

    def features(self, detector: Detector, cache: Path, rows: np.ndarray) -> Tensor:
        """A detector's features of the pictures at some positions ``[B]``: ``[B, D]``."""
        keys = [self.keys[row] for row in rows]
        return cached_features(cache, detector, f"{self.size}px", keys, lambda at: self.at(rows[at]))
