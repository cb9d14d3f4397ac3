"""Samples of a generator, kept in chunks: latents and what detectors make of their pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcmem.errors import LCMemError


@dataclass(frozen=True)
class Samples:
    """Samples and their features.

    Attributes:
        latents: Normalised, ``[n, C, h, w]`` float16.
        matching: Features of the detector ``[n, D]``.
        quality: Features of the extractor ``[n, E]``.
    """

    latents: np.ndarray
    matching: np.ndarray
    quality: np.ndarray

    @classmethod
    def joined(cls, chunks: list[dict[str, np.ndarray]]) -> "Samples":
        """Those of several chunks, in order."""
        return cls(*(np.concatenate([chunk[key] for chunk in chunks]) for key in ("latents", "matching", "quality")))


def read_chunk(target: Path) -> dict[str, np.ndarray]:
    """Samples that were drawn and kept together.

    Raises:
        LCMemError: The file is damaged.
    """
    try:
        with np.load(target) as saved:
            return {name: saved[name] for name in saved.files}
    except Exception as error:  # zipfile, numpy and zlib raise many kinds on damaged files
        raise LCMemError(f"{target}: damaged ({error}); delete it and run the same command again") from error
