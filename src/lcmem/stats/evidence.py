"""How much speaks against chance: a tail p-value of each picture, and the false discovery rate over all of them."""

from typing import Any

import numpy as np
from scipy.stats import expon, false_discovery_control, genpareto

from lcmem.stats.chance import Chance

TAIL, FEWEST = 0.1, 30
"""The part of the chance matches that a tail is fitted to, and how many these must be."""
FURTHEST = 100
"""Limit of extrapolation: a fitted p-value is at most this many times smaller than the smallest counted one."""


def tail_p_values(scores: np.ndarray, chance: Chance) -> np.ndarray:
    """How probable best matches at least as good are for pictures of unseen identities.

    Counted as by :meth:`lcmem.stats.chance.Chance.p_values`; above the highest chance match, where counting ends, the
    counted value falls as the generalised Pareto distribution that is fitted to the highest tenth of the chance matches
    (peaks over threshold, Pickands 1975). The fit is kept on the safe side: its shape is at least 0, since a negative
    one claims that no stranger can reach a certain score, its scale is taken one standard error larger, and it is
    trusted down to a hundredth of the smallest counted value. With fewer than :data:`FEWEST` × 2 chance matches nothing
    is fitted.

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
    """The lowest threshold whose tail p-value is at most ``rate``.

    Where counting shows the rate, this is :meth:`lcmem.stats.chance.Chance.threshold`; where it takes more identities,
    the threshold lies above the highest chance match, as far as the fitted tail says. Without a fit it stays there.
    """
    counted = chance.threshold(rate)
    missing = chance.expected(counted) / rate
    fitted = _tail(chance) if missing > 1 + 1e-9 else None
    if fitted is None:
        return counted
    tail, highest = fitted
    return max(counted, float(tail.isf(tail.sf(highest) / min(missing, FURTHEST))))


def _tail(chance: Chance) -> tuple[Any, float] | None:
    """The distribution of the highest chance matches, and the highest of them; None if they are too few."""
    known = np.sort(chance.scores[np.isfinite(chance.scores)])
    number = max(FEWEST, int(TAIL * len(known)))
    if len(known) < 2 * FEWEST or known[-1] == known[-number - 1]:
        return None
    start = known[-number - 1]
    shape, scale = fit_tail(known[-number:] - start)
    return genpareto(shape, loc=start, scale=scale), float(known[-1])


def fit_tail(excesses: np.ndarray) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto distribution of excesses ``[k]`` ≥ 0, on the safe side."""
    shape, _, scale = genpareto.fit(excesses, floc=0)
    if shape < 0:
        shape, scale = 0.0, expon.fit(excesses, floc=0)[1]
    return float(shape), float(scale) * (1 + len(excesses) ** -0.5)


def q_values(p_values: np.ndarray) -> np.ndarray:
    """The smallest false discovery rate at which each of the pictures is found (Benjamini and Hochberg 1995), ``[n]``.

    Of all pictures with a q-value of at most x, a share of at most x is expected to be there by chance. The p-values
    rest on the same chance matches and so depend on each other positively, under which this holds (Bates et al. 2023).
    """
    return np.asarray(false_discovery_control(p_values)) if len(p_values) else p_values
