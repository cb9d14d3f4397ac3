"""A rate after somebody has looked at the matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from lcmem.stats.rates import Rate, proportion


@dataclass(frozen=True)
class Reviewed:
    """What a reviewer says of matches of one kind.

    Attributes:
        matches: How many there are.
        confirmed: How many of them were confirmed.
        refuted: How many were called false alarms; nothing is known of the others.
    """

    matches: int
    confirmed: int
    refuted: int


def corrected_rate(rate: Rate, kinds: Sequence[Reviewed], missed: int = 0) -> Rate:
    """The rate of pictures that match and would be confirmed.

    Matches of each kind count times the share that was confirmed of those with a decision; where nothing was decided
    they count as they are. So what was looked at must stand for its kind: a fair sample of it, or all of it. The
    interval adds two doubts by squares of their distances from the estimate, as Newcombe (1998) adds those of two
    rates: which pictures the generator made (the interval of the corrected rate), and which matches were looked at
    (the interval of each kind's share, with the finite population correction; none if all were).

    Args:
        rate: Before the review.
        kinds: The matches by kind, and what was decided.
        missed: Pictures that did not match and were confirmed nevertheless.
    """
    if not rate.total:
        return rate
    estimate, below, above = float(missed), 0.0, 0.0
    for kind in kinds:
        share, low, high = _confirmed_share(kind, rate.effective / rate.total)
        estimate += kind.matches * share
        below, above = hypot(below, kind.matches * (share - low)), hypot(above, kind.matches * (high - share))
    value = estimate / rate.total
    drawn = proportion(round(estimate), rate.total, rate.effective)
    low = value - hypot(drawn.value - drawn.low, below / rate.total)
    high = value + hypot(drawn.high - drawn.value, above / rate.total)
    return Rate(value, max(low, 0.0), min(high, 1.0), round(estimate), rate.total, rate.effective)


def _confirmed_share(kind: Reviewed, worth: float) -> tuple[float, float, float]:
    """Share of the matches of a kind that would be confirmed, with its 95 % interval.

    Args:
        kind: What is known.
        worth: Independent observations that one picture is worth.
    """
    decided = kind.confirmed + kind.refuted
    if not decided:
        return 1.0, 0.0, 1.0
    share = kind.confirmed / decided
    if decided >= kind.matches:
        return share, share, share
    number = decided * worth * (kind.matches - 1) / (kind.matches - decided)
    found = proportion(kind.confirmed, decided, number)
    return share, found.low, found.high
