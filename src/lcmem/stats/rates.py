"""Rates with an error bar."""

from dataclasses import dataclass
from math import sqrt

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Rate:
    """A share of pictures and its 95 % confidence interval.

    Attributes:
        count: Pictures that match.
        total: Pictures in all.
        value: Their share; NaN if there are none.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    count: int
    total: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference of two rates and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson(count: int, total: int) -> Rate:
    """Wilson's score interval of a proportion (Wilson 1927), which is sensible at 0 and 1 too."""
    if total == 0:
        return Rate(0, 0, float("nan"), 0.0, 1.0)
    share, square = count / total, Z95**2 / total
    centre = (share + square / 2) / (1 + square)
    spread = Z95 / (1 + square) * sqrt(share * (1 - share) / total + square / (4 * total))
    return Rate(count, total, share, max(0.0, centre - spread), min(1.0, centre + spread))


def excess(rate: Rate, control: Rate) -> Difference:
    """``rate − control`` with the interval that Newcombe (1998, method 10) builds from both Wilson intervals."""
    low = sqrt((rate.value - rate.low) ** 2 + (control.high - control.value) ** 2)
    high = sqrt((rate.high - rate.value) ** 2 + (control.value - control.low) ** 2)
    value = rate.value - control.value
    return Difference(value, max(-1.0, value - low), min(1.0, value + high))
