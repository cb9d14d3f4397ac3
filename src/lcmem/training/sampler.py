"""Which pairs make a batch: identities drawn evenly, small datasets oversampled, negatives from the same domain."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.stats.groups import connected_components
from lcmem.training.stage import Stage

T = TypeVar("T")
Named = Mapping[str, list[str]]
"""Datasets that a recipe makes one domain, by the domain's name."""

SINGLE_WEIGHT = 0.2
"""How often an identity with one picture is drawn, against one with several: it gives negatives, no true positive."""


def domains(manifest: Manifest, named: Named) -> np.ndarray:
    """One integer for each picture: datasets that share an identity are one domain (the same faces at two sizes).

    Args:
        manifest: The pictures.
        named: Datasets that are one domain whatever they share.
    """
    names = pd.Index(sorted(manifest.table["dataset"].unique()))
    known = manifest.table.loc[manifest.table["identity"] != "", ["identity", "dataset"]].drop_duplicates()
    shared = known[known["identity"].duplicated(keep=False)].groupby("identity")["dataset"].unique()
    groups = [*shared, *([name for name in group if name in names] for group in named.values())]
    pairs = [pair for group in groups for pair in pairwise(names.get_indexer(group))]
    return connected_components(np.array(pairs), len(names))[names.get_indexer(manifest.table["dataset"])]


def by_domain(values: Mapping[str, T], manifest: Manifest, named: Named) -> dict[int, T]:
    """Values by the number of the domain (see :func:`domains`) instead of its name; without domains that are not here.

    Args:
        values: By the name of a domain or a dataset.
        manifest: The pictures.
        named: The domains that have names of their own.

    Raises:
        LCMemError: Neither a domain nor a dataset has that name, or two values are for one domain.
    """
    codes = dict(zip(manifest.table["dataset"], domains(manifest, named).tolist(), strict=True))
    found: dict[int, T] = {}
    for name, value in values.items():
        here = {codes[dataset] for dataset in named.get(name, [name]) if dataset in codes}
        if not here and name not in named:
            known = ", ".join(map(repr, [*named, *sorted(codes)]))
            raise LCMemError(
                f"{name!r} is neither a domain of the recipe nor a dataset of the manifest (found: {known})"
            )
        if here & found.keys():
            raise LCMemError(f"{name!r} is part of a domain that has a setting already, as they share identities")
        found |= dict.fromkeys(here, value)
    return found


class PairSampler:
    """Draws batches of positive pairs; the other pairs of the batch are the negatives.

    Re-identification is measured against negatives of the same dataset, so a batch is made of chunks, each from one
    domain. Domains are drawn in proportion to the square root of their number of identities, unless the stage says
    otherwise, identities evenly.

    Args:
        manifest: The training pictures.
        stage: Its ``batch_size`` positive pairs make a batch, ``chunk`` of them are from one draw of a domain, and
            ``positives`` says whether identities are used. Where it changes nothing about a picture, identities with a
            single one are left out: their pairs would be the same latent twice, which teaches nothing.
        seed: Batch k of a sampler depends on nothing but the manifest, these settings and k.
        named: Datasets that are one domain whatever they share.

    Attributes:
        domain: Number of each picture's domain, ``[N]``.

    Raises:
        LCMemError: Fewer than three identities: there would be hardly any negatives; or the stage names a domain that
            there is not.
    """

    def __init__(self, manifest: Manifest, stage: Stage, seed: int, named: Named | None = None) -> None:
        self.stage, self.seed, self.named = stage, seed, named or {}
        identities = stage.positives == "identity"
        codes = manifest.identity_numbers if identities else np.arange(len(manifest))
        order = np.argsort(codes, kind="stable")
        self.members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        if not stage.changes_pictures:
            self.members = [members for members in self.members if len(members) > 1]
        if len(self.members) < 3:
            raise LCMemError(_too_few(len(self.members), stage))
        single = np.array([len(members) < 2 for members in self.members])
        weights = np.where(single, 1.0 if single.all() else SINGLE_WEIGHT, 1.0)
        self.domain = domains(manifest, self.named)
        first = self.domain[[members[0] for members in self.members]]
        numbers = np.unique(first)
        self.groups = [np.flatnonzero(first == number) for number in numbers]
        self.weights = [weights[group] for group in self.groups]
        quota, given = (by_domain(values, manifest, self.named) for values in (stage.quota, stage.frequency))
        self.quota = np.array([quota.get(number, 0) for number in numbers])
        usual = [given.get(number, part.sum() ** 0.5) for number, part in zip(numbers, self.weights, strict=True)]
        full = self.quota > 0
        drawn = np.where(full & ~full.all(), 0, usual)
        self.frequency = drawn / drawn.sum()

    def batch(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the first and second pictures and integer identities, each ``[batch_size]``."""
        rng = np.random.default_rng((self.seed, number))
        whole, rest = divmod(self.stage.batch_size - int(self.quota.sum()), self.stage.chunk)
        chunks = [self.stage.chunk] * whole + [rest] * (rest > 0)
        drawn = rng.choice(len(self.groups), len(chunks), p=self.frequency)
        counts = self.quota + np.bincount(drawn, weights=chunks, minlength=len(self.groups)).astype(int)
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
