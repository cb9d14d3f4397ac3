"""The operating point: how alike must two pictures be, so that chance does not explain it?

An audit looks for the best match of a picture among N real ones. Even a picture of somebody who is not in the real set
has a best match, and the more real pictures, the better that one is. The threshold is therefore taken from best
matches of pictures whose identity is *known* to be elsewhere: the real set's own pictures against all other identities,
and the holdout against the real set.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from lcmem.stats.thresholds import keeping_out

DEFAULT_RATE = 0.01
"""Share of pictures of unseen identities that may be taken for a match by mistake."""
PAIRS = 500_000
"""Random pairs that :func:`random_pairs` draws."""


@dataclass(frozen=True)
class Calibration:
    """A threshold and where it comes from.

    Attributes:
        logit: Pictures whose best match reaches it are matches.
        rate: At most this share of pictures of unseen identities is expected to reach it; None if it was given.
        method: ``given``, ``identities``, ``holdout``, ``identities and holdout`` or ``tail``.
        explanation: The same in a sentence or two for the report.
    """

    logit: float
    rate: float | None
    method: str
    explanation: str

    @property
    def probability(self) -> float:
        """The threshold as a probability."""
        return float(expit(self.logit))


def given_threshold(probability: float) -> Calibration:
    """A threshold in [0, 1] that the user chose (the paper's equation 4 takes 0.5)."""
    return Calibration(float(logit(probability)), None, "given", f"The threshold {probability:g} was given.")


def conformal_quantile(chance: np.ndarray, rate: float) -> tuple[float, float]:
    """Split-conformal threshold: a new draw from where ``chance`` came from reaches it with at most this probability.

    The one rule for chance matches of unseen identities. It is :func:`lcmem.stats.thresholds.keeping_out` with the
    share raised by ``(n + 1) / n``, as the new draw is one more than those that the threshold was taken from.

    Args:
        chance: Best logits ``[n]`` of pictures that have no true match.
        rate: The probability wanted.

    Returns:
        The threshold (just above one of the values) and the probability reached: ``rate`` or less, or 1 / (n + 1)
        where n is too small for ``rate``.
    """
    count = len(chance)
    share = min((1 - rate) * (count + 1) / count, 1.0)
    return keeping_out(chance, share), max(rate, 1 / (count + 1))


def random_pairs(identities: np.ndarray, *, count: int = PAIRS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pictures for :func:`calibrate_tail`.

    Args:
        identities: Of each picture, ``[N]``; where they are not known, a number of its own for each picture.
        count: How many pairs to draw; those of one identity are then left out.
        seed: Of the draws.

    Returns:
        Positions of the first and of the second pictures, ``[P]`` each, P ≤ ``count``.
    """
    first, second = np.random.default_rng(seed).integers(len(identities), size=(2, count))
    apart = identities[first] != identities[second]
    return first[apart], second[apart]


def calibrate(identity_chance: np.ndarray | None, holdout_chance: np.ndarray | None, rate: float) -> Calibration:
    """The higher of what both sources ask for.

    Args:
        identity_chance: For each real picture, its best logit against real pictures of other identities; None if the
            identities are not known.
        holdout_chance: For each holdout picture, its best logit against the real set; None without a holdout.
        rate: Share of pictures of unseen identities that may match.

    Raises:
        ValueError: Both are None.
    """
    sources = {"identities": identity_chance, "holdout": holdout_chance}
    levels = {name: conformal_quantile(chance, rate) for name, chance in sources.items() if chance is not None}
    if not levels:
        raise ValueError("nothing to calibrate on")
    threshold = max(level for level, _ in levels.values())
    reached = max(probability for _, probability in levels.values())
    texts = {
        "identities": "real pictures against all real pictures of other identities",
        "holdout": "holdout pictures against the real set",
    }
    origin = " and ".join(f"{len(sources[name])} {texts[name]}" for name in levels)  # type: ignore[arg-type]
    return Calibration(
        threshold,
        reached,
        " and ".join(levels),
        f"Chance matches were measured on {origin}. At this threshold at most {reached:.2%} of pictures that show "
        "nobody of the real set are expected to match one of its pictures by chance.",
    )


def calibrate_tail(logits: np.ndarray, bias: float, gallery: int, rate: float) -> Calibration:
    """Without identities and holdout: extrapolate from how far unrelated pairs scatter.

    Some pairs of the real set show the same identity, nobody knows which; but they are rare among all pairs. So the
    nearest 10 % to the nearest 0.5 % of all pairs are taken for unrelated ones, a log-normal tail is fitted to their
    distances (a straight line on normal quantiles; a distance cannot fall below zero) and followed to the probability
    ``rate / gallery`` that one pair must not exceed.

    Args:
        logits: Of random pairs of the real set ``[P]``, see :func:`random_pairs`.
        bias: The logit of a picture with itself; the distance of a pair is how far its logit lies below.
        gallery: Number of real pictures.
        rate: As for :func:`calibrate`.
    """
    shares = np.geomspace(0.1, 0.005, 12)
    distances = np.maximum(bias - np.quantile(logits, 1 - shares), 1e-6)
    slope, offset = np.polyfit(norm.ppf(shares), np.log(distances), 1)
    threshold = float(bias - np.exp(offset + slope * norm.ppf(rate / gallery)))
    return Calibration(
        threshold,
        rate,
        "tail",
        f"The real pictures carry no identities and there is no holdout, so the threshold is extrapolated from the "
        f"scores of {len(logits)} random pairs of real pictures, aiming at {rate:.2%} chance matches. This is less "
        "reliable than a calibration on identities or on a holdout: give one of them if you can.",
    )
