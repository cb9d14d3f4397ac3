"""How alike small pictures are, by correlations of several kinds."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from lcmem.matching.alignment import aligned_correlation, correlation, inset_correlation
from lcmem.matching.parts import shared_part

PAIRED = ("as it is", "laid over it", "in its details laid over it", "in a third of it", "with it laid over a part")
"""How a picture is compared with its best matches: in 32×32 grey pixels, then four times in 64×64."""
WAYS = (*PAIRED, "very small and turned, of all real pictures")
"""All ways of looking: the last is in 8×8 pixels (:mod:`lcmem.matching.overview`)."""
RANKS = 5
"""Best matches of each picture that are looked at."""
CHUNK = 64
"""Pairs that are laid over each other at once."""


def correlate(pictures: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> np.ndarray:
    """How alike small pictures are to others, or their mirror images.

    Args:
        pictures: ``[SIDE, SIDE]`` uint8, n of them.
        real: As many.

    Returns:
        ``[n, 5]`` in [−1, 1], for each of :data:`PAIRED`.
    """
    threads = torch.get_num_threads()
    try:  # many small steps: several chunks at once use all cores, several cores for each step hardly gain anything
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            chunks = pool.map(partial(_correlate, pictures, real), range(0, len(real), CHUNK))
            return np.concatenate([np.empty((0, len(PAIRED))), *chunks])
    finally:
        torch.set_num_threads(threads)


def _correlate(pictures: Sequence[np.ndarray], real: Sequence[np.ndarray], start: int) -> np.ndarray:
    """:func:`correlate`, of one chunk."""
    one, two = (torch.from_numpy(np.stack(each[start : start + CHUNK])).float() for each in (pictures, real))
    found: np.ndarray = torch.column_stack(
        (correlation(one, two), aligned_correlation(one, two), shared_part(one, two), inset_correlation(one, two))
    ).numpy()
    return found
