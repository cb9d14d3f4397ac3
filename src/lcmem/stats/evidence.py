"""How much speaks against chance: a tail p-value of each picture, and the false discovery rate over all of them."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import expon, false_discovery_control, genpareto

from lcmem.stats.chance import Chance

TAIL, FEWEST, PEOPLE = 0.1, 30, 10
"""The part of the chance matches that a tail is fitted to, how many these must be, and of how many identities (or of
half of all, where they are fewer)."""
FURTHEST = 100
"""Limit of extrapolation: a fitted p-value is at most this many times smaller than the smallest counted one."""


def tail_p_values(scores: np.ndarray, chance: Chance) -> np.ndarray:
    """How probable best matches at least as good are for pictures of unseen identities.

    Counted as by :meth:`lcmem.stats.chance.Chance.p_values`; above the highest chance match, where counting ends, the
    counted value falls as the generalised Pareto distribution that is fitted to the highest tenth of the chance matches
    (peaks over threshold, Pickands 1975), or to more where these are of few identities. Its shape is at least 0,
    since a negative one claims that no stranger can reach a certain score, and larger by what is not known of its scale
    (:func:`fit_tail`); it is trusted down to a hundredth of the smallest counted value. With fewer than
    :data:`FEWEST` × 2 chance matches nothing is fitted.

    Args:
        scores: Best score of each picture, ``[n]``.
        chance: Best scores of pictures that have no true match.

    Returns:
        ``[n]`` in (0, 1].
    """
    counted, fitted = chance.p_values(scores), _tail(chance)
    if fitted is not None:
        tail, highest = fitted
        above = np.flatnonzero(scores > highest)
        counted[above] *= np.maximum(tail.sf(scores[above]) / tail.sf(highest), 1 / FURTHEST)
    return counted


def tail_threshold(chance: Chance, rate: float) -> float:
    """The threshold that a share ``rate`` of pictures of unseen identities reaches, by the tail where counting ends.

    Where counting shows the rate, this is :meth:`lcmem.stats.chance.Chance.threshold`; where it takes more identities,
    the lowest score above the highest chance match that so few reach according to the fitted tail. Its part of all is
    counted in identities, its shape on all their pictures: of 30 people with four pictures each the highest of 120
    chance matches is rarer than one in 30. Without a fit the threshold stays at the highest chance match.
    """
    counted = chance.threshold(rate)
    smallest = chance.expected(counted)
    fitted = _tail(chance) if smallest > rate * (1 + 1e-9) else None
    if fitted is None:
        return counted
    tail, _ = fitted
    share = chance.expected(float(np.nextafter(tail.support()[0], np.inf)))
    return max(counted, float(tail.isf(min(max(rate, smallest / FURTHEST) / share, 1.0))))


def _tail(chance: Chance) -> tuple[Any, float] | None:
    """The distribution of the highest chance matches, and the highest of them; None if they are too few."""
    finite = np.isfinite(chance.scores)
    order = np.argsort(-chance.scores[finite], kind="stable")
    known, clusters = chance.scores[finite][order], chance.clusters[finite][order]
    if len(known) < 2 * FEWEST:
        return None
    best = np.sort(pd.Series(known).groupby(clusters).max())[::-1]  # of each identity, from the highest down
    people = min(PEOPLE, (len(best) + 1) // 2)
    # by values alone: of equal ones, as hashes have them, the order is an accident
    number = max(FEWEST, int(TAIL * len(known)), int((known > best[people - 1]).sum()) + 1)
    if number >= len(known) or known[0] == known[number]:
        return None
    independent = len(np.unique(clusters[known >= known[number - 1]]))
    shape, scale = fit_tail(known[:number] - known[number], independent)
    return genpareto(shape, loc=known[number], scale=scale), float(known[0])


def fit_tail(excesses: np.ndarray, independent: int) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution that the next of excesses ``[k]`` ≥ 0 is of.

    The scale that fits best is not known for sure. The next value of an exponential distribution, averaged over what
    the mean of k others says of its scale, is of a generalised Pareto distribution of shape 1 / k: what it gives is
    exceeded as often as it says on average over audits, and lies far out where k is small.

    Args:
        excesses: Scores less the lowest of them.
        independent: How many of them tell something of their own: the number of identities that they are of.
    """
    shape, _, scale = genpareto.fit(excesses, floc=0)
    if shape < 0:
        shape, scale = 0.0, expon.fit(excesses, floc=0)[1]
    return float(shape) + 1 / independent, float(scale)


def q_values(p_values: np.ndarray) -> np.ndarray:
    """The smallest false discovery rate at which each of the pictures is found (Benjamini and Hochberg 1995), ``[n]``.

    Of all pictures with a q-value of at most x, a share of at most x is expected to be there by chance. The p-values
    rest on the same chance matches and so depend on each other positively, under which this holds (Bates et al. 2023).
    """
    return np.asarray(false_discovery_control(p_values)) if len(p_values) else p_values
