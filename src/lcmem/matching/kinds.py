"""Kinds of pictures in one set that no column tells apart: those between which no picture has a near neighbour."""

from dataclasses import replace

import numpy as np
import pandas as pd

from lcmem.detectors.base import Detector
from lcmem.matching.compare import compare
from lcmem.matching.feature_set import FeatureSet
from lcmem.stats.chance import PARTED
from lcmem.stats.groups import connected_components

SAMPLE = 2000
"""Identities, with a picture each, among which kinds are looked for, at most."""
NEIGHBOURS = 10
"""Two pictures are neighbours where each is among so many that are most like the other."""
FEWEST = 20
"""Identities of a kind, at least, in the sample."""


def split_kinds(found: FeatureSet, detector: Detector) -> FeatureSet:
    """The set with a dataset for each of its kinds, ``kind 1`` the largest, where its table names no two datasets.

    Pictures of different identities and one kind are all connected through neighbours, those of two kinds hardly ever
    (docs/mixed-kinds.md measures both). Where pictures have no identities nothing is told apart: many photos of one
    person would seem to be a kind.

    Args:
        found: The set.
        detector: The model.
    """
    table = found.manifest.table
    chosen = _one_of_each(table["identity"], found.keys)
    if table["dataset"].nunique() > 1 or len(chosen) < PARTED + FEWEST:
        return found
    sample, people = found.blocks.take(chosen), np.arange(len(chosen))
    nearest = compare(sample, None, detector, k=NEIGHBOURS, query_identities=people, title="kinds of pictures")
    assert nearest.different is not None
    components = _components(nearest.different.positions)
    sizes = np.bincount(components)
    kinds = [kind for kind in np.argsort(-sizes, kind="stable") if sizes[kind] >= FEWEST]
    if len(kinds) < 2:
        return found
    clear = np.flatnonzero(np.isin(components, kinds))
    like = compare(found.blocks, sample[clear], detector, k=1, title="kinds of pictures").best.positions[:, 0]
    names = {kind: f"kind {number}" for number, kind in enumerate(kinds, 1)}
    column = pd.Series(components[clear[like]], index=table.index).map(names)
    manifest = replace(found.manifest, table=table.assign(dataset=column))
    return replace(found, manifest=manifest, told_apart=len(kinds))


def _one_of_each(identities: pd.Series, keys: list[str]) -> np.ndarray:
    """A picture of each of :data:`SAMPLE` identities at most, by content, whatever their order in the table."""
    pictures = pd.DataFrame({"who": identities.to_numpy(), "key": keys})
    pictures = pictures[pictures["who"] != ""].sort_values("key", kind="stable").drop_duplicates("who")
    return pictures.index[:SAMPLE].to_numpy()  # by content, so that equally large kinds are called the same


def _components(neighbours: np.ndarray) -> np.ndarray:
    """Components ``[n]`` of the graph of pictures that are among the neighbours ``[n, k]`` of each other."""
    count, k = neighbours.shape
    pairs = np.stack((np.arange(count).repeat(k), neighbours.ravel()), 1)
    named = set(map(tuple, pairs.tolist()))
    mutual = [pair for pair in named if pair[::-1] in named]
    return connected_components(np.array(mutual, dtype=np.int64), count)
