"""People of a data pack whom simulated audits draw their sets from, and scores between their pictures."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.datasets import read_dataset
from lcmem.detectors.lcmem import LCMem
from lcmem.matching.compare import score_pairs
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features, open_features
from lcmem.matching.finder import CopyFinder
from lcmem.model import Head, LinearHead
from lcmem.pictures.manifest import Manifest
from lcmem.stats.groups import connected_components

POPULATION = 1200
"""People of a dataset at most."""
EACH = 4
"""Pictures of each of them."""
PICTURES = (1, 4)
"""So many of these an audit has of each."""


def arguments_of(description: str | None, page: str) -> argparse.ArgumentParser:
    """A parser of data packs, the folder that features are kept in, and the page to write."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(page))
    return parser


@dataclass(frozen=True)
class Population:
    """Scores between people, so that an audit is a choice of rows and columns.

    Attributes:
        best: Best score of each picture with each person, ``[P, m, P]``; −∞ with its own.
        within: Best score with another picture of the same person that is no copy of it, ``[P, m]``.
        groups: Group of copies of each picture, ``[P, m]``.
    """

    best: np.ndarray
    within: np.ndarray
    groups: np.ndarray


def read_packs(folders: Collection[Path]) -> pd.DataFrame:
    """The pictures of all data packs."""
    return pd.concat([read_dataset("open-pack", folder).table for folder in folders], ignore_index=True)


def read_population(folders: list[Path], dataset: str, detector: LCMem, cache: Path) -> FeatureSet:
    """Four pictures of every identity that has them, in the order of identities."""
    table = read_packs(folders)
    table = table[(table["dataset"] == dataset) & table["split"].isin(["train", "val"]) & (table["identity"] != "")]
    table = table.sort_values("path", kind="stable").groupby("identity", sort=True).head(EACH)
    table = table[table.groupby("identity")["path"].transform("size") == EACH].sort_values("identity", kind="stable")
    manifest = Manifest(table.head(POPULATION * EACH).reset_index(drop=True))
    return extract_features(manifest, detector, open_features(cache, detector))


def read_people(
    folders: list[Path], datasets: Collection[str], detector: LCMem, cache: Path, pictures: int, people: int
) -> FeatureSet:
    """Up to so many pictures of up to so many identities of each dataset."""
    table = read_packs(folders)
    table = table[table["dataset"].isin(datasets) & table["split"].isin(["train", "val"]) & (table["identity"] != "")]
    table = table.sort_values("path", kind="stable").groupby(["dataset", "identity"]).head(pictures)
    number = table.groupby("dataset")["identity"].transform(lambda column: pd.factorize(column)[0])
    manifest = Manifest(table[number < people].reset_index(drop=True))
    return extract_features(manifest, detector, open_features(cache, detector))


def copies_of_each_other(found: FeatureSet, detector: LCMem) -> np.ndarray:
    """Group of copies of each picture ``[N]``, looked for among the pictures of a person."""
    finder = CopyFinder.of(found, detector)
    first, second = np.triu_indices(EACH, 1)
    starts = np.arange(0, len(found.manifest), EACH)[:, None]
    one, two = (starts + first).ravel(), (starts + second).ravel()
    copies = finder.copies(found, one, found, two, score_pairs(found.blocks, one, found.blocks, two, detector))
    return connected_components(np.stack((one[copies], two[copies]), 1), len(found.manifest))


def populate(found: FeatureSet, groups: np.ndarray, head: Head) -> dict[int, Population]:
    """Scores with a head of the first so many pictures of every person, for each of :data:`PICTURES`."""
    own, features = groups.reshape(-1, EACH), found.features
    worlds = {
        m: Population(np.empty((len(own), m, len(own)), np.float32), np.empty((len(own), m), np.float32), own[:, :m])
        for m in PICTURES
    }
    for person in range(len(own)):
        mine = slice(person * EACH, (person + 1) * EACH)
        scores = head.all_pairs(features[mine], features).detach().numpy().reshape(EACH, len(own), EACH)
        alone = np.where(own[person][:, None] != own[person][None], scores[:, person], -np.inf)
        for m, world in worlds.items():
            world.within[person] = alone[:m, :m].max(1)
            world.best[person] = scores[:m, :, :m].max(2)
            world.best[person, :, person] = -np.inf
    return worlds


def signed(head: Head) -> LinearHead:
    """A linear head: the weights of the model's, every fifth with the other sign."""
    made = LinearHead(len(head.weight))
    sign = torch.where(torch.rand(len(head.weight), generator=torch.Generator().manual_seed(0)) < 0.2, -1.0, 1.0)
    made.raw_weight = torch.nn.Parameter(head.weight.detach() * sign)
    return made
