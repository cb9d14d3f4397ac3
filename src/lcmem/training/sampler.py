"""Which pairs make a batch: identities drawn evenly, small datasets oversampled, negatives from the same domain."""

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.training.recipe import Stage

SINGLE_WEIGHT = 0.2
"""How often an identity with one picture is drawn, against one with several: it gives negatives, no true positive."""


def domains(manifest: Manifest) -> np.ndarray:
    """One integer for each picture: datasets that share an identity are one domain (the same faces at two sizes)."""
    names = sorted(manifest.table["dataset"].unique())
    parent = {name: name for name in names}

    def root(name: str) -> str:
        return name if parent[name] == name else root(parent[name])

    known = manifest.table.loc[manifest.table["identity"] != "", ["identity", "dataset"]].drop_duplicates()
    for _, group in known[known["identity"].duplicated(keep=False)].groupby("identity")["dataset"]:
        first, *others = group.unique()
        for other in others:
            parent[root(other)] = root(first)
    roots = manifest.table["dataset"].map(root)
    return pd.factorize(roots, sort=True)[0]


class PairSampler:
    """Draws batches of positive pairs; the other pairs of the batch are the negatives.

    Re-identification is measured against negatives of the same dataset, so a batch is made of chunks, each from one
    domain. Domains are drawn in proportion to the square root of their number of identities, identities evenly.

    Args:
        manifest: The training pictures.
        stage: Its ``batch_size`` positive pairs make a batch, ``chunk`` of them are from one draw of a domain, and
            ``positives`` says whether identities are used. Where it changes nothing about a picture, identities with a
            single one are left out: their pairs would be the same latent twice, which teaches nothing.
        seed: Batch k of a sampler depends on nothing but the manifest, these settings and k.

    Raises:
        LCMemError: Fewer than three identities: there would be hardly any negatives.
    """

    def __init__(self, manifest: Manifest, stage: Stage, seed: int) -> None:
        self.stage, self.seed = stage, seed
        identities = stage.positives == "identity"
        codes = pd.factorize(pd.Series(manifest.identities))[0] if identities else np.arange(len(manifest))
        order = np.argsort(codes, kind="stable")
        self.members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        if not stage.changes_pictures:
            self.members = [members for members in self.members if len(members) > 1]
        if len(self.members) < 3:
            raise LCMemError(_too_few(len(self.members), stage))
        single = np.array([len(members) < 2 for members in self.members])
        weights = np.where(single, 1.0 if single.all() else SINGLE_WEIGHT, 1.0)
        first = domains(manifest)[[members[0] for members in self.members]]
        self.groups = [np.flatnonzero(first == domain) for domain in np.unique(first)]
        self.weights = [weights[group] for group in self.groups]
        frequency = np.sqrt([part.sum() for part in self.weights])
        self.frequency = frequency / frequency.sum()

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the first and second pictures and integer identities, each ``[batch_size]``."""
        rng = np.random.default_rng((self.seed, number))
        whole, rest = divmod(self.stage.batch_size, self.stage.chunk)
        chunks = [self.stage.chunk] * whole + [rest] * (rest > 0)
        drawn = rng.choice(len(self.groups), len(chunks), p=self.frequency)
        counts = np.bincount(drawn, weights=chunks, minlength=len(self.groups)).astype(int)
        chosen = np.concatenate([self._identities(group, count, rng) for group, count in enumerate(counts)])
        pairs = [rng.choice(self.members[k], 2, replace=len(self.members[k]) < 2) for k in chosen]
        first, second = np.array(pairs).T
        return first, second, chosen

    def _identities(self, group: int, count: int, rng: np.random.Generator) -> np.ndarray:
        """So many identities of a domain, none twice before each was drawn once."""
        parts = []
        while count > 0:
            # the smallest of exponential waiting times are a weighted draw without replacement, in linear time
            waiting = rng.exponential(size=len(self.groups[group])) / self.weights[group]
            take = min(count, len(waiting))
            parts.append(self.groups[group][np.argpartition(waiting, take - 1)[:take]])
            count -= take
        return np.concatenate(parts) if parts else np.empty(0, dtype=int)


def _too_few(count: int, stage: Stage) -> str:
    message = f"{count} identities are too few to train on, at least 3 are needed"
    if stage.changes_pictures:
        return message
    return (
        f"{message}; those with a single picture do not count, as this stage changes nothing about a picture: "
        "set mirror=true, or what singles, latent or pixels do"
    )
