"""How often pictures of unseen identities match by chance, and from which score on that is rare enough.

Identities are the unit, not pictures: pictures of one person are no independent observations. A picture therefore
counts as one over the number of pictures of its identity, and :attr:`Chance.identities` is n below.

**From the set's own identities** (``mutual``). L_i is the best score of identity i against all others of the set. Take
the new identity in as number n + 1: identities are exchangeable, so are the best scores L' in the larger set. L'_i
differs from L_i only where the new picture is the best match of i, and reaches L_new only for the one that is the new
picture's own best match. So if at most k of the L_i reach L_new, at most k + 1 of the L'_i do, and P(at most k of the
L_i reach L_new) ≤ (k + 2) / (n + 1). The smallest rate that can be shown is 2 / (n + 1), twice that of independent
values, because best matches come in mutual pairs. The proof is for one picture of each identity; docs/error-rates.md
simulates several.

**From a holdout**. Its best scores against the set are exchangeable with those of a new picture, given the set:
(k + 1) / (n + 1), the ordinary split conformal bound (Vovk et al. 2005, Angelopoulos et al. 2022 for shares).

**Not exceeded with 95 % confidence**: Clopper and Pearson's upper limit, which is that of the Beta distribution of an
order statistic. Mutual pairs tell the same thing twice, so count and number are halved for ``mutual`` scores, and
the number is n − 1, the identities that each is compared with.

**Several kinds of pictures** (faces and X-rays) in one real set: a threshold from all chance matches would be exceeded
by more of one kind and fewer of the others. What a picture is most like names its kind, of chance matches as of new
pictures, so each kind has chance matches of its own (:func:`parted`; Mondrian conformal prediction, Vovk et al. 2005).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

import numpy as np
import pandas as pd
from scipy.stats import beta

from lcmem.stats.groups import connected_components

CONFIDENCE = 0.95

ROUNDING = 1e-5
"""By so much, relatively, do the scores of a picture differ that is encoded twice, beside other pictures. A copy of the
picture whose chance match sets the threshold would otherwise match by it or not."""
PARTED, MIXED = 20, 0.2
"""Identities from which on a kind of pictures has chance matches of its own, and the share of a dataset's chance
matches that are with another one from which on both are of one kind (docs/mixed-kinds.md measures some)."""


@dataclass(frozen=True)
class Chance:
    """Best scores of pictures that have no true match.

    Attributes:
        scores: ``[N]``.
        clusters: Of which identity or group of copies each picture is, ``[N]`` integers.
        mutual: Whether the pictures were compared with each other; else with a set that they are not part of.
        growth: How many times more pictures a new one is compared with than these were (pictures of unknown identity
            are left out of the comparison of a set with itself); the chance of a match grows at most so much.
        parts: Chance matches with pictures of each kind, by its name; empty where there is one kind.
    """

    scores: np.ndarray
    clusters: np.ndarray
    mutual: bool
    growth: float = 1.0
    parts: Mapping[str, "Chance"] = field(default_factory=dict)

    @cached_property
    def weights(self) -> np.ndarray:
        """``[N]``: one over the number of pictures of the same cluster."""
        _, inverse, counts = np.unique(self.clusters, return_inverse=True, return_counts=True)
        return 1 / counts[inverse]

    @cached_property
    def identities(self) -> int:
        """Number of clusters, n."""
        return len(np.unique(self.clusters))

    @cached_property
    def _ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores from the lowest up, ``[N]``, and the weight of all from each on, ``[N + 1]``."""
        order = np.argsort(self.scores, kind="stable")
        return self.scores[order], np.append(np.cumsum(self.weights[order][::-1])[::-1], 0.0)

    def count(self, threshold: float) -> float:
        """Identities whose pictures reach the threshold; of one with four pictures each counts a quarter."""
        ranked, weight = self._ranked
        return float(weight[np.searchsorted(ranked, threshold)])

    def share(self, threshold: float) -> float:
        """Estimated share of pictures of unseen identities that reach a threshold chosen beforehand."""
        others = max(self.identities - self.mutual, 1)
        return min(self.growth * self.count(threshold) / others, 1.0)

    def expected(self, threshold: float) -> float:
        """Share of pictures of unseen identities that reach this threshold, at most, on average over audits.

        Holds for a threshold that was taken from these scores, as by :meth:`threshold`.
        """
        return float(self.p_values(np.array([threshold]))[0])

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """How probable a score ``[n]`` or a higher one is for a picture of an unseen identity, at most, ``[n]``.

        The conformal p-value (k + 1) / (n + 1), or (k + 2) / (n + 1) of ``mutual`` scores, of k chance matches that
        reach it: at most a share x of pictures of unseen identities has one of at most x, on average over audits.
        """
        ranked, weight = self._ranked
        reached = weight[np.searchsorted(ranked, scores)]
        return np.minimum(self.growth * (reached + 1 + self.mutual) / (self.identities + 1), 1.0)

    def bound(self, threshold: float, confidence: float = CONFIDENCE) -> float:
        """The share that is not exceeded in this audit, with this confidence."""
        reached, left = self._reached(threshold)
        return min(self.growth * float(beta.ppf(confidence, reached + 1, left)), 1.0) if left > 1e-9 else 1.0

    def floor(self, threshold: float) -> float:
        """The share that is reached in this audit at least, with :data:`CONFIDENCE`: Clopper and Pearson's lower
        limit."""
        reached, left = self._reached(threshold)
        return float(beta.ppf(1 - CONFIDENCE, reached, max(left, 0.0) + 1)) if reached > 0 else 0.0

    def _reached(self, threshold: float) -> tuple[float, float]:
        """Independent chance matches that reach a threshold, and the others."""
        effect = 1 + self.mutual
        reached = self.count(threshold) / effect
        return reached, (self.identities - self.mutual) / effect - reached

    def threshold(self, rate: float) -> float:
        """The lowest threshold whose expected rate is at most ``rate``; just above all scores if none is, and +∞ where
        there is no score, since there is nobody else."""
        values = np.unique(self.scores)
        low_enough = np.flatnonzero(self.p_values(np.nextafter(values, inf)) <= rate + 1e-12)
        highest = float(values[low_enough[0] if len(low_enough) else -1])
        return inf if highest == -inf else highest + ROUNDING * max(abs(highest), 1.0)

    def needed(self, rate: float) -> int:
        """Identities from which on a rate can be shown."""
        return int(np.ceil(self.growth * (1 + self.mutual) / rate - 1 - 1e-9))

    def needed_for_bound(self, rate: float, confidence: float = CONFIDENCE) -> int:
        """Identities from which on a rate can be shown that is not exceeded with this confidence."""
        independent = np.log(1 - confidence) / np.log(1 - min(rate / self.growth, 1 - 1e-12))
        return int(np.ceil((1 + self.mutual) * independent + self.mutual - 1e-9))

    def against(self, times: float) -> "Chance":
        """The same for a new picture that is compared with so many times more pictures; fewer do not count as fewer."""
        parts: dict[str, Chance] = {}
        for kinds, part in self.distinct():
            parts |= dict.fromkeys(kinds, part.against(times))
        return replace(self, growth=self.growth * max(times, 1.0), parts=parts)

    def part(self, kind: str) -> "Chance":
        """The chance matches of a kind; all of them where it has none of its own."""
        return self.parts.get(kind, self)

    def without(self, clusters: np.ndarray) -> "Chance":
        """The chance matches of all other clusters, as of one kind."""
        kept = ~np.isin(self.clusters, clusters)
        return replace(self, scores=self.scores[kept], clusters=self.clusters[kept], parts={})

    def distinct(self) -> list[tuple[list[str], "Chance"]]:
        """Each of the :attr:`parts` once, with the kinds that share it."""
        shared: dict[int, tuple[list[str], Chance]] = {}
        for kind, part in self.parts.items():
            shared.setdefault(id(part), ([], part))[0].append(kind)
        return list(shared.values())


def parted(
    chance: Chance, kinds: np.ndarray, own: np.ndarray | None = None, growths: Mapping[str, float] | None = None
) -> Chance:
    """The same chance matches with their :attr:`Chance.parts`.

    Datasets between which a share of :data:`MIXED` of one's chance matches crosses, such as the same kind of pictures
    from two places, are one kind and share their part. So do kinds of fewer than :data:`PARTED` identities.

    Args:
        chance: N chance matches.
        kinds: Dataset of the picture that each is most like, ``[N]``.
        own: Its own dataset, ``[N]``; None where it is of none of these.
        growths: As :attr:`Chance.growth`, by dataset; None takes that of all.
    """
    table = pd.DataFrame({"kind": kinds, "own": kinds if own is None else own, "cluster": chance.clusters})
    names = sorted({*table["kind"], *table["own"]})
    shares = pd.crosstab(table["own"], table["kind"], normalize="index").reindex(index=names, columns=names).fillna(0)
    one, two = np.nonzero(shares.to_numpy() >= MIXED)
    joined = connected_components(np.stack((one, two), 1), len(names))
    groups = dict(zip(names, joined, strict=True))
    people = (
        table.groupby(table["kind"].map(groups))["cluster"].nunique().reindex(range(joined.max() + 1), fill_value=0)
    )
    if len(people) < 2 or people.max() < PARTED:
        return chance
    number = np.where(people.to_numpy() < PARTED, -1, people.index.to_numpy())
    groups = {name: int(number[group]) for name, group in groups.items()}
    parts: dict[str, Chance] = {}
    for group in sorted(set(groups.values())):
        members = [name for name in names if groups[name] == group]
        rows = table["kind"].isin(members).to_numpy()
        if rows.any():
            growth = max(growths.get(name, 1.0) for name in members) if growths else chance.growth
            part = Chance(chance.scores[rows], chance.clusters[rows], chance.mutual, growth)
            parts |= dict.fromkeys(members, part)
    return replace(chance, parts=parts) if len({id(part) for part in parts.values()}) > 1 else chance
