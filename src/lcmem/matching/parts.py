"""Whether a part of a picture is a part of another one at the same place: the rest may be covered, or somebody else's.

Generators that learnt pictures by heart also paste: the same room around another face, half of one picture beside half
of another (Somepalli et al. 2023, "Diffusion Art or Digital Forgery?", call it object-level replication). As a whole
such pictures are not alike.
"""

import torch
from torch import Tensor

from lcmem.matching.alignment import FLAT, smoothed

BLOCK, STRIDE = 12, 4
"""Side of the blocks that are compared, and how far they lie apart, in pixels of a thumbnail."""
PART = 0.35
"""Share of the blocks that must be alike."""


def shared_part(pictures: Tensor, others: Tensor) -> Tensor:
    """How alike the part of each picture that is most like another one, or its mirror image, is to that one.

    Args:
        pictures: Grey ``[n, S, S]`` float, 0 to 255.
        others: As many.

    Returns:
        ``[n]`` in [−1, 1]: the mean correlation of those blocks, :data:`PART` of all, which correlate best with the
        block at the same place. Empty blocks are like nothing.
    """
    side = pictures.shape[-1]
    starts = torch.arange(0, side - BLOCK + 1, STRIDE)
    places = torch.arange(side) - starts[:, None]
    means = ((places >= 0) & (places < BLOCK)) / BLOCK  # [B, S]
    two = smoothed(others, (0.25, 0.5, 0.25), 1)
    kept = _means_and_spread(two, means)
    found = []
    for given in (pictures, pictures.flip(-1)):
        one = smoothed(given, (0.25, 0.5, 0.25), 1)
        (mean, spread), (other_mean, other_spread) = _means_and_spread(one, means), kept
        alike = (means @ (one * two) @ means.T - mean * other_mean) / (spread * other_spread)
        blocks = alike.flatten(1)
        found.append(blocks.topk(round(PART * blocks.shape[1]), 1).values.mean(1))
    return torch.maximum(*found).clamp(-1, 1)


def _means_and_spread(pictures: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Of the grey values in each block, ``[n, B, B]`` both; the spread (standard deviation) is at least that of
    empty pictures."""
    mean = means @ pictures @ means.T
    return mean, (means @ pictures.square() @ means.T - mean.square()).clamp_min(FLAT**2).sqrt()
