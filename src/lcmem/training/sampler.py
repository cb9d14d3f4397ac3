"""Which pairs make a batch: identities drawn evenly, small datasets oversampled, negatives from the same domain."""

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.manifest import Manifest

SINGLE_WEIGHT = 0.2
"""How often an identity with one picture is drawn, against one with several: it gives negatives, no true positive."""


def domains(manifest: Manifest) -> np.ndarray:
    """One integer for each picture: datasets that share an identity are one domain (the same faces at two sizes)."""
    names = sorted(manifest.table["dataset"].unique())
    parent = {name: name for name in names}

    def root(name: str) -> str:
        return name if parent[name] == name else root(parent[name])

    known = manifest.table[manifest.table["identity"] != ""]
    for _, group in known.groupby("identity")["dataset"]:
        first, *others = group.unique()
        for other in others:
            parent[root(other)] = root(first)
    roots = manifest.table["dataset"].map(root)
    return pd.factorize(roots, sort=True)[0]


class PairSampler:
    """Draws batches of positive pairs; the other pairs of the batch are the negatives.

    Re-identification is measured against negatives of the same dataset, so a batch is made of chunks, each from one
    domain. Domains are drawn in proportion to the square root of their number of identities.

    Args:
        manifest: The training pictures.
        pairs: Positive pairs in a batch.
        chunk: At most so many of them are from one draw of a domain.
        seed: Batch k of a sampler depends on nothing but the manifest, these numbers and k.

    Raises:
        LCMemError: Fewer than three identities: there would be hardly any negatives.
    """

    def __init__(self, manifest: Manifest, pairs: int, chunk: int, seed: int) -> None:
        self.pairs, self.chunk, self.seed = pairs, chunk, seed
        codes = pd.factorize(pd.Series(manifest.identities))[0]
        if codes.max() < 2:
            raise LCMemError(f"{codes.max() + 1} identities are too few to train on, at least 3 are needed")
        order = np.argsort(codes, kind="stable")
        self.members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        sizes = np.array([len(members) for members in self.members])
        weights = np.where(sizes > 1, 1.0, SINGLE_WEIGHT)
        first = domains(manifest)[[members[0] for members in self.members]]
        self.groups = [np.flatnonzero(first == domain) for domain in np.unique(first)]
        self.weights = [weights[group] / weights[group].sum() for group in self.groups]
        frequency = np.sqrt([weights[group].sum() for group in self.groups])
        self.frequency = frequency / frequency.sum()

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the first and second pictures and integer identities, each ``[pairs]``."""
        rng = np.random.default_rng((self.seed, number))
        chosen: list[int] = []
        while len(chosen) < self.pairs:
            domain = rng.choice(len(self.groups), p=self.frequency)
            group, weights = self.groups[domain], self.weights[domain]
            count = min(self.chunk, len(group), self.pairs - len(chosen))
            chosen += rng.choice(group, count, replace=False, p=weights).tolist()
        drawn = [rng.choice(self.members[k], 2, replace=len(self.members[k]) < 2) for k in chosen]
        first, second = np.array(drawn).T
        return first, second, np.array(chosen)
