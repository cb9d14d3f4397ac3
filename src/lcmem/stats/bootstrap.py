"""Intervals of the benchmark's numbers: identities, not pairs, are drawn again."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lcmem.stats.roc import Roc

METRICS = ("auc", "specificity_at_99_sensitivity", "precision_at_99_recall")
BLOCK = 200_000
"""Weights of pairs that are held at once."""


def measure(roc: Roc) -> np.ndarray:
    """The :data:`METRICS`, ``[3, ...]``."""
    return np.stack((roc.auc(), roc.specificity(), roc.precision()))


def draw_counts(names: np.ndarray, *, replicates: int, seed: int) -> np.ndarray:
    """How often each picture counts when identities are drawn with replacement, ``[R, N]`` int16.

    A Poisson number of the identity's own (Hanley and MacGibbon 2006), the same wherever it is met: then datasets with
    people in common are drawn together.

    Args:
        names: Identity of each picture, ``[N]`` strings.
        replicates: R.
        seed: Changes the draws.
    """
    unique, codes = np.unique(names.astype(str), return_inverse=True)
    seeds = [[seed, *hashlib.sha256(name.encode()).digest()[:8]] for name in unique]
    counts = np.stack([np.random.default_rng(own).poisson(1, replicates) for own in seeds], axis=1)
    return counts.astype(np.int16)[:, codes]


@dataclass(frozen=True)
class Resampling:
    """How often each identity is drawn in each replicate, and which identities each pair is of.

    Pairs of one identity are no independent observations. So identities are drawn with replacement: a positive pair
    counts as often as its identity was drawn, a negative one as often as the product of both. How often is told by
    :func:`draw_counts`.

    Attributes:
        counts: ``[R, I]``.
        first: Number of the identity of the first picture of each pair, ``[P]``.
        second: Of the second picture, ``[P]``.
        same: ``[P]`` booleans.
    """

    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray
    same: np.ndarray

    @classmethod
    def draw(
        cls, first: np.ndarray, second: np.ndarray, same: np.ndarray, *, replicates: int, seed: int
    ) -> "Resampling":
        """Draw the identities of one dataset.

        Args:
            first: Identity of the first picture of each pair, ``[P]`` strings.
            second: Of the second picture, ``[P]`` strings.
            same: ``[P]`` booleans.
            replicates: R.
            seed: Random seed of the draws.
        """
        names, codes = np.unique(np.concatenate((first, second)).astype(str), return_inverse=True)
        counts = draw_counts(names, replicates=replicates, seed=seed)
        return cls(counts, codes[: len(first)], codes[len(first) :], same)

    @classmethod
    def pool(cls, parts: Sequence["Resampling"]) -> "Resampling":
        """Several datasets as one."""
        starts = np.cumsum([0, *(part.counts.shape[1] for part in parts)])
        shifted = [(part.first + start, part.second + start) for part, start in zip(parts, starts, strict=False)]
        return cls(
            np.concatenate([part.counts for part in parts], axis=1),
            np.concatenate([first for first, _ in shifted]),
            np.concatenate([second for _, second in shifted]),
            np.concatenate([part.same for part in parts]),
        )

    def weights(self, counts: np.ndarray) -> np.ndarray:
        """How often each pair counts in some replicates ``[B, I]``: ``[B, P]``."""
        weights = counts[:, self.first].astype(np.float64)
        weights *= np.where(self.same, 1, counts[:, self.second])
        return weights

    def measure(self, scores: np.ndarray) -> np.ndarray:
        """The :data:`METRICS` of scores ``[P]`` in every replicate, ``[3, R]``."""
        step = max(1, BLOCK // len(scores))
        blocks = [self.counts[start : start + step] for start in range(0, len(self.counts), step)]
        parts = [measure(Roc.of(scores, self.same, self.weights(counts))) for counts in blocks]
        return np.concatenate(parts, axis=1)


def interval_columns(names: Sequence[str], point: Iterable[float], replicates: np.ndarray) -> dict[str, float]:
    """Numbers ``[n]`` by name; as ``_low`` and ``_high`` the intervals of their replicates ``[n, R]``."""
    low, high = interval(replicates)
    found: dict[str, float] = {}
    for name, *values in zip(names, point, low, high, strict=True):
        found |= {name + end: float(value) for end, value in zip(("", "_low", "_high"), values, strict=True)}
    return found


def interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of replicates ``[..., R]``; a replicate where a class was empty does not count."""
    known = np.isfinite(values).any(-1)
    low, high = np.full(known.shape, np.nan), np.full(known.shape, np.nan)
    if known.any():
        low[known], high[known] = np.nanpercentile(values[known], (2.5, 97.5), axis=-1)
    return low, high
