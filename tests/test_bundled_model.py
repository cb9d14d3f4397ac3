"""Claim: the bundled model separates what it never saw, above NCC on every set, measured here and by its card.

Needs the data pack, see CONTRIBUTING.md.
"""

import hashlib

import numpy as np
import pandas as pd
import pytest

from lcmem.datasets import read_dataset
from lcmem.detectors.pixel import NCC
from lcmem.errors import LCMemWarning
from lcmem.evaluation.copy.run import benchmark_copy
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.pictures.manifest import Manifest

DETECTORS = ["ncc", "compact"]
SPLITS = ["test", "val"]
"""Pictures that are copied, and those that thresholds are taken from."""


@pytest.fixture(scope="module")
def pack(data_pack):
    return read_dataset("open-pack", data_pack)


def few_of_each(manifest, most):
    """At most so many pictures of each dataset, in the order of a hash of the identity; the card has them all."""
    kept = []
    for _, rows in manifest.table.groupby("dataset"):
        order = rows["identity"].map(lambda name: hashlib.sha256(name.encode()).hexdigest()).sort_values(kind="stable")
        kept += order.index[:most].tolist()
    return manifest.rows(sorted(kept))


@pytest.fixture(scope="module")
def measured(pack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:  # every pair of raw pixels would take minutes
        patch.setattr(NCC, "exhaustive", False)
        reid = benchmark_reid(few_of_each(pack.select(split="test"), 60), DETECTORS, folder, bootstrap=50)
    anonymous = ~pack.table["dataset"].isin(reid["dataset"])  # of those only copies can be told
    parts = [few_of_each(pack.rows(np.flatnonzero(anonymous & (pack.table["split"] == split))), 20) for split in SPLITS]
    chosen = Manifest(pd.concat([part.table for part in parts], ignore_index=True))
    with pytest.warns(LCMemWarning, match="negative pairs of the validation split are few"):
        benchmark_copy(chosen, DETECTORS, folder, transforms=["stage-2"], cache=folder / "cache")
    both = pd.concat([reid, pd.read_csv(folder / "copy_map.csv")])
    return both[~both["dataset"].isin(["macro", "micro"])]


def test_above_ncc_on_every_dataset(measured):
    table = measured.pivot(index="dataset", columns="detector", values="auc")
    assert len(table) == 9
    assert (table["compact"] > table["ncc"]).all(), table


def test_card_has_every_dataset_and_the_same_order_of_detectors(measured, bundled):
    card = pd.DataFrame(bundled.card["metrics"]).pivot(index="dataset", columns="detector", values="auc")
    assert set(card.index) >= set(measured["dataset"]) and {"mse", "ncc", "ssim", "compact"} <= set(card.columns)
    assert (card["compact"] > card[["mse", "ncc", "ssim"]].max(axis=1)).all(), card


def test_no_identity_is_in_two_splits(pack):
    pack.check_disjoint()
