"""How far a set of generated pictures is from a set of real ones: Fréchet and kernel distances of features.

With features of Inception-v3 they are known as FID and KID. With others they are named after those: numbers of
different extractors cannot be compared with each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics.pairwise import polynomial_kernel

from lcmem.errors import LCMemError
from lcmem.stats.rates import Interval

REPLICATES = 20
"""Pairs of half samples that an interval is made of."""
Distance = Callable[[np.ndarray, np.ndarray], float]


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Distance of the normal distributions with the same means and covariances (Heusel et al. 2017).

    With ``Σ = AᵀA`` and ``Σ' = BᵀB`` the trace of ``sqrt(ΣΣ')`` is the sum of the singular values of ``ABᵀ``, whose
    sides are the number of pictures where that is less than D. For 500 pictures and 1,280 features this takes a
    hundredth of the time of the eigenvalues of ``ΣΣ'`` (torchmetrics), and loses no digits to eigenvalues near zero.

    Args:
        real: Features ``[N, D]``.
        synthetic: Features ``[M, D]``; N and M at least 2.
    """
    a, b = (_factor(features.astype(np.float64)) for features in (real, synthetic))
    shift = real.mean(0, dtype=np.float64) - synthetic.mean(0, dtype=np.float64)
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(shift @ shift + (a**2).sum() + (b**2).sum() - 2 * shared)


def _factor(features: np.ndarray) -> np.ndarray:
    """A matrix A of D columns and as few rows as needed, with the covariance ``AᵀA``."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return centred if len(centred) <= centred.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))


def kernel_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the cubic kernel, without bias (Bińkowski et al. 2018).

    Args:
        real: Features ``[N, D]``.
        synthetic: Features ``[N, D]``, as many.
    """
    count, (a, b) = len(real), (features.astype(np.float64) for features in (real, synthetic))
    same = sum((kernel.sum() - kernel.trace()) / (count * (count - 1)) for kernel in map(polynomial_kernel, (a, b)))
    return float(same - 2 * polynomial_kernel(a, b).mean())  # its defaults: (x · y / D + 1)³


@dataclass(frozen=True)
class Distances:
    """A distance of real and synthetic pictures, beside the distance of real ones from each other.

    Attributes:
        pictures: Of each of the two sets that a distance is measured between: distances of sets of different sizes
            cannot be compared, as the Fréchet distance shrinks the more pictures there are.
        synthetic: Between that many real and that many synthetic pictures.
        floor: Between that many real pictures and as many other real ones. Of sets with one picture of each identity
            what cannot be told from perfect; with several, halves share identities and lie nearer to each other.
    """

    pictures: int
    synthetic: Interval
    floor: Interval


def with_floor(real: np.ndarray, synthetic: np.ndarray, distance: Distance) -> Distances:
    """A distance with interval and floor, all at the size of half of the smaller set.

    Half samples without replacement scatter as the whole sample does (the delete-half jackknife; Shao and Wu 1989),
    and unlike a bootstrap they hold no picture twice, which both distances would take for structure.

    Args:
        real: Features ``[N, D]``.
        synthetic: Features ``[M, D]``.
        distance: :func:`frechet_distance` or :func:`kernel_distance`.

    Raises:
        LCMemError: Fewer than 4 pictures in a set.
    """
    size = min(len(real), len(synthetic)) // 2
    if size < 2:
        raise LCMemError(f"{len(real)} real and {len(synthetic)} synthetic pictures: distances need at least 4 of each")
    rng = np.random.default_rng(0)
    apart, among = [], []
    for _ in range(REPLICATES):
        order, others = rng.permutation(len(real)), rng.permutation(len(synthetic))
        half = real[order[:size]]
        apart.append(distance(half, synthetic[others[:size]]))
        among.append(distance(half, real[order[size : 2 * size]]))
    return Distances(size, _estimate(apart), _estimate(among))


def _estimate(values: list[float]) -> Interval:
    low, high = np.percentile(values, (2.5, 97.5))
    return Interval(float(np.mean(values)), float(low), float(high))
