"""What pictures look like beside their best matches: a thumbnail, or a part of it, found again whatever the score.

A model that tells people apart may doubt a person whom a generator has drawn softly, or miss one in a tight crop. The
pictures that it finds most alike are therefore looked at as well: is the thumbnail of a generated picture, or its
mirror image, found again in the thumbnail of a real one, as a whole or as a part of it of some size (normalised
cross-correlation)? How alike strangers are by chance depends on the set and on the size of the part, so it is measured
on the set's own chance matches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.matching.thumbnails import SAME, SIDE, Thumbnails
from lcmem.pictures.image import PictureLike
from lcmem.stats.chance import CONFIDENCE, Chance

SIZES = (SIDE, 29, 26, 22, 19, 16, 13)
"""Sides in pixels of the parts of a real picture's thumbnail: all of it, down to 16 % of its area."""
RANKS = 5
"""Best matches of each picture that are looked at."""
FLAT = 2.0
"""Grey values vary by at least so much (standard deviation, of 255), or a part counts as if they did: it is empty."""
USUAL = 0.995
"""Share of chance matches that levels are taken from."""
BLUNT = 0.05
"""Share of chance matches that reach a level, from which on looks tell nothing."""
LEAST, MOST = 0.9, 0.995
"""Correlations between which levels lie."""
CHUNK = 256
"""Pairs that are compared at once."""


@dataclass(frozen=True)
class Look:
    """When a generated picture matches a real one by the looks of both, whatever the score.

    Attributes:
        levels: Correlation from which it does, for each of :data:`SIZES`.
        expected: Share of pictures of unseen identities that do, at most, on average over audits.
        bound: The share that is not exceeded in this audit with the confidence asked for.
        chance: The chance matches that do: score of each, and which share of all identities it stands for.
    """

    levels: tuple[float, ...] = (SAME,) + (inf,) * (len(SIZES) - 1)
    expected: float = 1.0
    bound: float = 1.0
    chance: tuple[tuple[float, float], ...] = ()

    @property
    def blind(self) -> bool:
        """Whether this set's pictures are so alike that looks tell nothing."""
        return min(self.levels) == inf

    @property
    def shown(self) -> list[float | None]:
        """The levels for JSON, which knows no infinity: None where looks of that size tell nothing."""
        return [level if level < inf else None for level in self.levels]

    @property
    def same(self) -> float:
        """Correlation of whole thumbnails from which it is a copy: photos of one person may be rather alike as well."""
        return max(self.levels[0], SAME)

    def beyond(self, threshold: float) -> float:
        """Share of pictures of unseen identities that match by their looks alone, below this score."""
        return sum(share for score, share in self.chance if score < threshold)

    def hits(self, looks: np.ndarray) -> np.ndarray:
        """Which correlations ``[..., S]`` make a match, ``[...]`` booleans."""
        found: np.ndarray = np.any(looks >= np.array(self.levels), axis=-1)
        return found


UNMEASURED = Look()
"""Where chance matches were not looked at: only whole thumbnails that are the same match."""
BLIND = Look((inf,) * len(SIZES))
"""Where pictures cannot be looked at, or all look the same."""


def measure_look(looks: np.ndarray, chance: Chance, confidence: float = CONFIDENCE) -> Look:
    """Levels halfway between what chance matches reach and 1, so that looks add next to nothing to the scores' matches.

    The fewer identities there are, the less is known of what strangers can reach, and the nearer levels are to 1: of n
    identities by a share of 1 / √n. The highest in two hundred chance matches do not count, nor the very highest of
    fewer: they may be copies under two names. Levels are never so high that copies at half the size or at JPEG quality
    75 would be missed, nor so low that one could not speak of the same picture. Where many strangers reach one all the
    same, as among forms of one layout, looks of that size tell nothing, and none matches by them.

    Args:
        looks: Highest correlations ``[n, S]`` of chance matches with their best matches, for each of :data:`SIZES`.
        chance: The chance matches, with their scores.
        confidence: Of the bound.
    """
    if not len(looks):
        return UNMEASURED
    usual = np.quantile(looks, USUAL, axis=0, method="lower")
    share = min(0.5 + chance.identities**-0.5, 1)
    levels = np.clip(usual + share * (1 - usual), LEAST, MOST)
    levels[chance.weights @ (looks >= levels) > BLUNT * chance.identities] = inf
    look = Look(tuple(map(float, levels)))
    hit = look.hits(looks)
    each = zip(chance.scores[hit], chance.growth * chance.weights[hit] / chance.identities, strict=True)
    hits = replace(chance, scores=hit.astype(float))
    told = tuple((float(score), float(share)) for score, share in each)
    return replace(look, expected=hits.expected(1), bound=hits.bound(1, confidence), chance=told)


def look_at(
    thumbnails: Thumbnails,
    first: Sequence[PictureLike],
    second: Sequence[str],
    advance: Callable[[int], object] = lambda count: None,
) -> np.ndarray:
    """How alike pairs of pictures look, ``[n, S]`` as of :func:`correlate`; −1 where one cannot be opened.

    Args:
        thumbnails: Where those of the pictures are kept.
        first: As of :meth:`lcmem.matching.thumbnails.Thumbnails.pairs`.
        second: As of that.
        advance: Is told how many more pairs are done.
    """
    found = np.full((len(second), len(SIZES)), -1.0)
    for at, pictures, real in thumbnails.pairs(first, second):
        found[at] = correlate(pictures, real)
        advance(len(at))
    return found


def correlate(pictures: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> np.ndarray:
    """How alike thumbnails are to the most alike part of others, or their mirror images.

    Args:
        pictures: ``[SIDE, SIDE]`` uint8, n of them.
        real: As many.

    Returns:
        ``[n, S]`` in [−1, 1], for each of :data:`SIZES`.
    """
    found = [np.empty((0, len(SIZES)))]
    for start in range(0, len(real), CHUNK):
        first, second = (torch.from_numpy(np.stack(each[start : start + CHUNK])).float() for each in (pictures, real))
        found.append(torch.stack([_best_part(first, second, side) for side in SIZES], 1).numpy())
    return np.concatenate(found)


def _best_part(pictures: Tensor, real: Tensor, side: int) -> Tensor:
    """The highest correlation ``[n]`` of pictures ``[n, SIDE, SIDE]``, made so small, with a part of the real ones."""
    small = F.interpolate(pictures[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]
    small = small - small.mean((1, 2), keepdim=True)
    small = small / small.flatten(1).norm(dim=1).clamp_min(FLAT * side)[:, None, None]
    both = torch.stack((small, small.flip(-1)), 1).flatten(0, 1)[:, None]  # [2n, 1, side, side]
    products = F.conv2d(real[None], both, groups=len(real))[0].unflatten(0, (len(real), 2))
    mean = F.avg_pool2d(real[:, None], side, 1)
    spread = (F.avg_pool2d(real[:, None] ** 2, side, 1) - mean**2).clamp_min(FLAT**2).sqrt() * side
    return (products / spread).flatten(1).amax(1).clamp(-1, 1)
