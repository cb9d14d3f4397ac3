"""Whether a picture shows anything: blank ones look like each other, which says nothing about a generator."""

import numpy as np

from lcmem.errors import LowInformationError

LEVELS = 4
"""Differences up to this many of 255 levels are noise and compression, not content."""
SHARE = 0.001
"""Share of the pixels that must differ by more: fewer are dead pixels or a speck of dust."""
SOME = 4096
"""Pixels, evenly spread, that tell what most of them are like."""


def shows_little(levels: np.ndarray) -> bool:
    """Whether all pixels but one in a thousand are alike.

    Args:
        levels: ``[3, H, W]`` uint8.
    """
    flat = levels.reshape(3, -1)
    step = 1 + 2 * min(flat.shape[1] // SOME // 2, 200)  # odd, so that it does not stay in a few columns
    some = flat[:, ::step]
    usual = np.median(some, axis=1).astype(np.int16)[:, None]
    if _differing(some, usual) >= step * SHARE:  # then it is at least SHARE of all, so the rest need not be looked at
        return False
    return _differing(flat, usual) < SHARE


def _differing(flat: np.ndarray, usual: np.ndarray) -> float:
    """Share of the pixels ``[3, N]`` that differ from the usual one ``[3, 1]`` by more than noise."""
    return float((np.abs(flat - usual) > LEVELS).any(0).mean())


def check_information(levels: np.ndarray, name: str) -> None:
    """Refuse a picture ``[3, H, W]`` uint8 that shows nothing; ``name`` is for the message.

    Raises:
        LowInformationError: It is blank, of one colour, or nearly so.
    """
    if shows_little(levels):
        raise LowInformationError(f"{name}: low information: (nearly) all pixels have the same colour")
