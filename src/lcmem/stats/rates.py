"""Rates with an error bar."""

from dataclasses import dataclass

from scipy.stats import binomtest


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
    low, high = binomtest(count, total).proportion_ci(0.95, "wilson")
    return Rate(count, total, count / total, float(low), float(high))


def excess(rate: Rate, control: Rate) -> Difference:
    """``rate − control`` with the interval that Newcombe (1998, method 10) builds from both Wilson intervals."""
    if not rate.total or not control.total:
        return Difference(float("nan"), -1.0, 1.0)
    from statsmodels.stats.proportion import confint_proportions_2indep  # takes a second; few audits need it

    low, high = confint_proportions_2indep(
        rate.count, rate.total, control.count, control.total, method="newcomb", compare="diff"
    )
    return Difference(rate.value - control.value, float(low), float(high))
