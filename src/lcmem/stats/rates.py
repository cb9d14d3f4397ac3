"""Rates with an error bar."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rate:
    """A share of pictures and its 95 % confidence interval.

    Attributes:
        count: Pictures that match.
        total: Pictures in all.
        effective: Independent observations that these are worth, see :func:`effective_number`.
        value: Their share; NaN if there are none.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    count: int
    total: int
    effective: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A difference of two rates and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def effective_number(clusters: np.ndarray) -> float:
    """How many independent pictures some are worth whose clusters stand or fall together (Kish 1965).

    Args:
        clusters: Which identity, or group of copies, each picture is of, ``[N]``.

    Returns:
        ``(Σ m)² / Σ m²`` of the clusters' sizes m: N where each picture is its own cluster, C for C equal clusters.
    """
    sizes = np.unique(clusters, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def wilson(count: int, total: int, effective: float | None = None) -> Rate:
    """Wilson's score interval of a proportion (Wilson 1927), which is sensible at 0 and 1 too.

    Args:
        count: Pictures that match.
        total: Pictures in all.
        effective: Independent observations that these are worth; None: each picture is one.
    """
    if total == 0:
        return Rate(0, 0, 0.0, float("nan"), 0.0, 1.0)
    from statsmodels.stats.proportion import proportion_confint  # takes a second

    number = float(total) if effective is None else effective
    low, high = proportion_confint(count / total * number, number, method="wilson")
    return Rate(count, total, number, count / total, max(float(low), 0.0), min(float(high), 1.0))


def excess(rate: Rate, control: Rate) -> Difference:
    """``rate − control`` with the interval that Newcombe (1998, method 10) builds from both Wilson intervals."""
    if not rate.total or not control.total:
        return Difference(float("nan"), -1.0, 1.0)
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        rate.value * rate.effective,
        rate.effective,
        control.value * control.effective,
        control.effective,
        method="newcomb",
        compare="diff",
    )
    return Difference(rate.value - control.value, float(low), float(high))
