"""Labelled pictures become pairs: which two pictures are compared, and whether they show the same identity."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lcmem.pictures.manifest import Manifest


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
    manifest: Manifest, *, seed: int = 0, max_positives: int | None = None, protocol: str = "fixed"
) -> Pairs:
    """All positive pairs of each dataset and as many negative ones from the same dataset (paper, section 4).

    The list depends on nothing but the manifest's order and the seed.

    Args:
        manifest: Pictures of one split.
        seed: Of the random draws.
        max_positives: At most so many positive pairs of each dataset, drawn at random; None takes all.
        protocol: ``fixed`` draws both pictures of a negative pair at random; ``paper`` always takes the first picture
            of the other identity, as the official code does.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for _, rows in manifest.table.reset_index(drop=True).groupby("dataset", sort=True):
        positions = rows.index.to_numpy()
        identities = rows["identity"].to_numpy()
        positives = _positive_pairs(positions, identities)
        if max_positives is not None and len(positives) > max_positives:
            positives = positives[np.sort(rng.permutation(len(positives))[:max_positives])]
        negatives = _negative_pairs(positions, identities, len(positives), rng)
        if protocol == "paper" and len(negatives):
            negatives[:, 1] = _first_pictures(positions, identities).loc[negatives[:, 1]]
        parts += [(positives, True), (negatives, False)]
    both = np.concatenate([pairs for pairs, _ in parts]) if parts else np.empty((0, 2), dtype=int)
    same = np.concatenate([np.full(len(pairs), label) for pairs, label in parts]) if parts else np.empty(0, dtype=bool)
    return Pairs(both[:, 0], both[:, 1], same)


def _positive_pairs(positions: np.ndarray, identities: np.ndarray) -> np.ndarray:
    found = []
    for identity in np.unique(identities[identities != ""]):
        members = positions[identities == identity]
        first, second = np.triu_indices(len(members), 1)
        found.append(np.stack((members[first], members[second]), 1))
    return np.concatenate(found) if found else np.empty((0, 2), dtype=int)


def _negative_pairs(positions: np.ndarray, identities: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    drawn: list[np.ndarray] = []
    missing = count if len(np.unique(identities[identities != ""])) > 1 else 0
    while missing > 0:
        candidates = rng.integers(len(positions), size=(2 * missing + 8, 2))
        names = identities[candidates]
        candidates = candidates[(names[:, 0] != names[:, 1]) & (names != "").all(1)][:missing]
        drawn.append(positions[candidates])
        missing -= len(candidates)
    return np.concatenate(drawn) if drawn else np.empty((0, 2), dtype=int)


def _first_pictures(positions: np.ndarray, identities: np.ndarray) -> pd.Series:
    """The position of the first picture of the same identity, for each position."""
    return pd.Series(positions, index=positions).groupby(identities).transform("first")


def copy_pairs(count: int, datasets: np.ndarray, seed: int = 0) -> Pairs:
    """Each of ``count`` pictures with its own edited copy, and with the copy of another picture of its dataset.

    Args:
        count: Pictures; the copies have the same positions.
        datasets: Dataset of each picture, ``[count]``.
        seed: Of the choice of the other picture.
    """
    rng = np.random.default_rng(seed)
    own = np.arange(count)
    other = own.copy()
    for name in np.unique(datasets):
        members = np.flatnonzero(datasets == name)
        if len(members) > 1:
            other[members] = np.roll(members, rng.integers(1, len(members)))
    has_other = other != own
    first, second = np.concatenate((own, own[has_other])), np.concatenate((own, other[has_other]))
    return Pairs(first, second, np.arange(len(first)) < count)


def split_by_dataset(manifest: Manifest, pairs: Pairs) -> list[tuple[str, np.ndarray]]:
    """Each dataset's name and the positions of its pairs."""
    datasets = manifest.table["dataset"].to_numpy()[pairs.first]
    return [(str(name), np.flatnonzero(datasets == name)) for name in np.unique(datasets)]
