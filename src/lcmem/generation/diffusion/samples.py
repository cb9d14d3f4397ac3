"""Samples of a generator, kept in chunks: latents and what detectors make of their pictures."""

from dataclasses import dataclass

import numpy as np


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
