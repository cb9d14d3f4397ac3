"""From where on pictures match by what they look like: the same picture, or the same once laid over the other.

A model that tells people apart may doubt a person whom a generator has drawn softly, or miss one in a tight crop. The
pictures that it finds most alike are therefore looked at as well, whatever the score: is a generated picture, or its
mirror image, the same as a real one, as it is or once it is laid over it (:mod:`lcmem.matching.alignment`)? And every
picture is compared with all real ones, very small (:mod:`lcmem.matching.overview`). How alike strangers are by chance
depends on the set, so it is measured on the set's own chance matches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np
import pandas as pd

from lcmem.files import finite
from lcmem.matching.copy_levels import CopyLevels
from lcmem.matching.correlations import PAIRED, WAYS
from lcmem.matching.thumbnails import SAME
from lcmem.stats.calibration import Calibration
from lcmem.stats.chance import CONFIDENCE, Chance

USUAL = 0.995
"""Share of chance matches that levels are taken from."""
BLUNT = 0.05
"""Share of chance matches of one kind that reach a level, from which on looks tell nothing."""
COUNTED = 20
"""Identities of a kind that are enough to say so."""
LEAST, MOST, MOST_OF_ALL = 0.9, 0.995, 0.999
"""Correlations between which levels lie; the last is the highest of the last of :data:`WAYS`, in whose few pixels more
is alike."""


@dataclass(frozen=True)
class Look:
    """When a generated picture matches a real one by the looks of both, whatever the score.

    Attributes:
        correlations: From which on it does, for each of :data:`WAYS`.
        expected: Share of pictures of unseen identities that do, at most, on average over audits.
        bound: The share that is not exceeded in this audit with the confidence asked for.
        chance: The chance matches that do: score of each, which share of the identities of its kind it stands for, and
            that kind ("" where there is one).
    """

    correlations: tuple[float, ...] = (SAME,) + (inf,) * (len(WAYS) - 1)
    expected: float = 1.0
    bound: float = 1.0
    chance: tuple[tuple[float, float, str], ...] = ()

    @property
    def blind(self) -> bool:
        """Whether this set's pictures are so alike that looks tell nothing."""
        return min(self.correlations) == inf

    @property
    def shown(self) -> list[float | None]:
        """The levels for JSON: None where that way of looking tells nothing."""
        return [*map(finite, self.correlations)]

    def beyond(self, calibration: Calibration, shares: Mapping[str, float]) -> float:
        """Share of pictures of unseen identities that match by their looks alone, below the threshold of their kind.

        Args:
            calibration: The thresholds.
            shares: Of all pictures that are judged, the share whose best match is of each kind;
                :data:`lcmem.stats.calibration.OF_EACH`: of the kind with the most.
        """
        found = dict.fromkeys(calibration.by_kind, 0.0)
        for score, share, kind in self.chance:
            below = score < calibration.by_kind.get(kind, calibration.highest)
            found[kind] = found.get(kind, 0.0) + below * share
        most = max(found.values(), default=0.0)
        return sum(part * found.get(kind, most) for kind, part in shares.items()) if shares else most

    def stated(self, calibration: Calibration, levels: CopyLevels, shares: Mapping[str, float]) -> Calibration:
        """A calibration with the look in what is stated, where pictures can be opened.

        Args:
            calibration: Of the scores.
            levels: What copies reach.
            shares: As of :meth:`beyond`.
        """
        if not levels.can_look:
            return calibration
        if self.blind:
            text = (
                f"{calibration.explanation} Pictures of this set look so much alike, seen small, that no look can tell "
                "copies from others: only scores decide."
            )
            return replace(calibration, explanation=text)
        assert calibration.rate is not None and calibration.bound is not None
        more = self.beyond(calibration, shares)
        reached = [f"{level:.3f} {way}" for level, way in zip(self.correlations, WAYS, strict=True) if level < inf]
        text = (
            f"{calibration.explanation} A picture also matches where it looks like one of its best matches, seen "
            f"small, with a correlation of at least {' or '.join(reached)}; at most {self.expected:.2%} are expected "
            "to do so by chance."
        )
        rate, bound = min(calibration.rate + more, 1), min(calibration.bound + more, 1)
        return replace(calibration, explanation=text, rate=rate, bound=bound)

    @property
    def same(self) -> float:
        """Correlation from which two pictures, as they are, are the same one."""
        return max(self.correlations[0], SAME)

    def copies(self, looks: np.ndarray) -> np.ndarray:
        """Which correlations ``[..., W]`` make a copy: as it is. Photos of one person can be laid over each other."""
        same: np.ndarray = looks[..., 0] >= self.same
        return same

    def hits(self, looks: np.ndarray) -> np.ndarray:
        """Which correlations ``[..., W]`` make a match, ``[...]`` booleans."""
        found: np.ndarray = np.any(looks >= np.array(self.correlations), axis=-1)
        return found


UNMEASURED = Look()
"""Where chance matches were not looked at: only whole thumbnails that are the same match."""
BLIND = Look((inf,) * len(WAYS))
"""Where pictures cannot be looked at, or all look the same."""


def measure_look(
    looks: np.ndarray, chance: Chance, confidence: float = CONFIDENCE, kinds: np.ndarray | None = None
) -> Look:
    """Levels halfway between what chance matches reach and 1, so that looks add next to nothing to the scores' matches.

    The fewer identities there are, the less is known of what strangers can reach, and the nearer levels are to 1: of n
    identities by a share of 1 / √n. The highest in two hundred chance matches do not count, nor the very highest of
    fewer: they may be copies under two names. Levels are never so high that copies at half the size or at JPEG quality
    75 would be missed, nor so low that one could not speak of the same picture. Where many strangers reach one all the
    same, as among forms of one layout, that way of looking tells nothing, and none matches by it.

    Args:
        looks: Highest correlations ``[n, W]`` of chance matches with their best matches, for each of :data:`WAYS`.
        chance: The chance matches, with their scores.
        confidence: Of the bound.
        kinds: Of what pictures each is like, ``[n]``: a way that tells nothing of one kind is not used at all. None
            where there is one.
    """
    if not len(looks):
        return UNMEASURED
    usual = np.quantile(looks, USUAL, axis=0, method="lower")
    share = min(0.5 + chance.identities**-0.5, 1)
    levels = np.clip(usual + share * (1 - usual), LEAST, [MOST] * len(PAIRED) + [MOST_OF_ALL])
    kinds = np.full(len(looks), "") if kinds is None else kinds
    people = pd.Series(chance.weights).groupby(kinds).sum()  # identities of each kind
    alike = pd.DataFrame(chance.weights[:, None] * (looks >= levels)).groupby(kinds).sum().div(people, axis=0)
    levels[(alike[people >= min(COUNTED, people.max())] > BLUNT).any().to_numpy()] = inf
    levels[usual == -1] = inf  # never looked so: too many pictures, or none that can be opened
    look = Look(tuple(map(float, levels)))
    hit = look.hits(looks)
    shares = chance.growth * chance.weights[hit] / people[kinds[hit]].to_numpy()
    hits = replace(chance, scores=hit.astype(float))
    told = tuple(zip(chance.scores[hit].tolist(), shares.tolist(), map(str, kinds[hit]), strict=True))
    return replace(look, expected=hits.expected(1), bound=hits.bound(1, confidence), chance=told)
