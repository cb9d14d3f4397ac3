"""Labelled pictures become pairs: which two pictures are compared, and whether they show the same identity."""

import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest

PROTOCOLS = ("fixed", "paper")
"""See :func:`identity_pairs`."""
PER_IDENTITY = 10
"""Positive pairs of one identity at most, so that none rules a dataset."""


@dataclass(frozen=True)
class Pairs:
    """Positions of two pictures in a manifest and whether they belong together.

    Attributes:
        first: ``[P]`` integer positions.
        second: ``[P]`` integer positions.
        same: ``[P]`` booleans.
        fold: ``[P]`` numbers where the list is divided for cross-validation, else None.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    fold: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.first)

    def at(self, positions: np.ndarray) -> "Pairs":
        """Some of the pairs."""
        fold = None if self.fold is None else self.fold[positions]
        return Pairs(self.first[positions], self.second[positions], self.same[positions], fold)


def identity_pairs(
    manifest: Manifest,
    *,
    seed: int = 0,
    per_identity: int | None = PER_IDENTITY,
    max_positives: int | None = None,
    protocol: str = "fixed",
) -> Pairs:
    """Positive pairs of each dataset and as many negative ones from the same dataset (paper, section 4).

    The list of a dataset depends on nothing but its own name, its identities, its file names and the seed, and one more
    picture changes few of its pairs: pictures stand in the order of a hash, and partners are near each other in it. No
    pair is drawn twice.

    Args:
        manifest: Pictures of one split.
        seed: Changes the order.
        per_identity: Maximum number of positive pairs of one identity, and of its pictures in negative pairs, so
            that nobody with many pictures decides what is measured; None takes all.
        max_positives: Maximum number of positive pairs of each dataset; None takes all.
        protocol: ``fixed`` draws both pictures of a negative pair at random; ``paper`` takes every positive pair,
            whatever ``per_identity`` says, and in a negative one always the first picture of the other identity, as
            the official code does (so that pairs can come twice).

    Raises:
        LCMemError: There is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise LCMemError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    table = manifest.table.reset_index(drop=True)
    parts = [
        _dataset_pairs(rows, seed, None if protocol == "paper" else per_identity, max_positives, protocol)
        for _, rows in table[table["identity"] != ""].groupby("dataset", sort=True)
    ]
    both = np.concatenate([np.empty((0, 2), dtype=int), *(pairs for part in parts for pairs in part)])
    labels = [np.full(len(pairs), kind) for part in parts for pairs, kind in zip(part, (True, False), strict=True)]
    return Pairs(both[:, 0], both[:, 1], np.concatenate([np.empty(0, dtype=bool), *labels]))


def _dataset_pairs(
    rows: pd.DataFrame, seed: int, per_identity: int | None, max_positives: int | None, protocol: str
) -> tuple[np.ndarray, np.ndarray]:
    """Positive and negative pairs of one dataset, positions ``[P, 2]`` and ``[Q, 2]``, Q ≤ P."""
    keys = _keys(rows, seed)
    mixed = rows.iloc[np.argsort(keys, kind="stable")]
    groups = mixed.groupby("identity", sort=True)
    found = [_near_pairs(members, per_identity) for members in groups.indices.values()]
    places = np.concatenate([np.empty((0, 2), dtype=int), *found])
    if max_positives is not None:
        both = np.sort(keys)[places].sum(1)  # wraps around: as random as either
        places = places[np.argsort(both, kind="stable")[:max_positives]]
    positives = np.sort(mixed.index.to_numpy()[places], axis=1)
    positives = positives[np.lexsort(positives.T[::-1])]
    pool = mixed if per_identity is None else mixed[groups.cumcount() < per_identity]
    negatives = _negative_pairs(pool, len(positives))
    if protocol == "paper":
        firsts = pd.Series(rows.index, index=rows.index).groupby(rows["identity"]).transform("first")
        negatives[:, 1] = firsts.loc[negatives[:, 1]]
    return positives, negatives


def _keys(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """A random number for each picture, ``[N]`` uint64, that does not depend on the other pictures or the folder."""
    names = (str(path).replace("\\", "/").rpartition("/")[2] for path in rows["path"])
    texts = (
        f"{seed}\n{dataset}\n{identity}\n{name}"
        for dataset, identity, name in zip(rows["dataset"], rows["identity"], names, strict=True)
    )
    return np.array([int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts], dtype=np.uint64)


def _near_pairs(members: np.ndarray, most: int | None) -> np.ndarray:
    """Pairs ``[P, 2]`` of some pictures in random order: neighbours first, then every second one, and so on."""
    members = members if most is None else members[: most + 1]  # these already have enough neighbours
    first, second = np.triu_indices(len(members), 1)
    order = np.argsort(second - first, kind="stable")[:most]
    return np.stack((members[first[order]], members[second[order]]), 1)


def _negative_pairs(pool: pd.DataFrame, count: int) -> np.ndarray:
    """Pairs ``[≤ count, 2]`` of different identities from pictures in random order, neighbours first, none twice."""
    positions, identities = pool.index.to_numpy(), pool["identity"].to_numpy()
    found, missing = [np.empty((0, 2), dtype=int)], count
    for distance in range(1, len(pool)):
        if missing <= 0:
            break
        apart = np.flatnonzero(identities[:-distance] != identities[distance:])[:missing]
        found.append(np.stack((positions[apart], positions[apart + distance]), 1))
        missing -= len(apart)
    return np.concatenate(found)


def copy_pairs(count: int, datasets: np.ndarray) -> Pairs:
    """Each of ``count`` pictures with its own edited copy, and with the copy of another picture of its dataset.

    Args:
        count: Pictures; the copies have the same positions.
        datasets: Dataset of each picture, ``[count]``.
    """
    own = np.arange(count)
    other = own.copy()
    for name in np.unique(datasets):
        members = np.flatnonzero(datasets == name)
        if len(members) > 1:
            rng = np.random.default_rng([0, zlib.crc32(str(name).encode())])  # whatever other datasets there are
            other[members] = np.roll(members, rng.integers(1, len(members)))
    has_other = other != own
    first, second = np.concatenate((own, own[has_other])), np.concatenate((own, other[has_other]))
    return Pairs(first, second, np.arange(len(first)) < count)


def split_by_dataset(manifest: Manifest, pairs: Pairs) -> list[tuple[str, np.ndarray]]:
    """Each dataset's name and the positions of its pairs."""
    datasets = manifest.table["dataset"].to_numpy()[pairs.first]
    return [(str(name), np.flatnonzero(datasets == name)) for name in np.unique(datasets)]
