"""Claim: the bundled model separates what it never saw, above NCC on every set; its card says what is measured here.

Needs the data pack, see CONTRIBUTING.md.
"""

import pandas as pd
import pytest

from lcmem.datasets import read_dataset
from lcmem.detectors.pixel import NCC
from lcmem.evaluation.copy.edited import benchmark_edited
from lcmem.evaluation.reid.run import benchmark_reid


@pytest.fixture(scope="module")
def measured(data_pack, tmp_path_factory):
    test = read_dataset("open-pack", data_pack).select(split="test")
    folder, detectors = tmp_path_factory.mktemp("measured"), ["ncc", "compact"]
    with pytest.MonkeyPatch.context() as patch:  # every pair of raw pixels would take minutes
        patch.setattr(NCC, "exhaustive", False)
        reid = benchmark_reid(test, detectors, folder)
    return pd.concat([reid[~reid["dataset"].isin(["macro", "micro"])], benchmark_edited(test, detectors, folder)])


def test_above_ncc_on_every_dataset(measured):
    table = measured.pivot(index="dataset", columns="detector", values="auc")
    assert len(table) == 9
    assert (table["compact"] > table["ncc"]).all(), table


def test_card_says_what_is_measured(measured, compact):
    keys = ["dataset", "detector"]
    card = pd.DataFrame(compact.card["metrics"]).set_index(keys)
    found = measured.set_index(keys)
    assert set(card.index.get_level_values("detector")) >= {"mse", "ncc", "ssim", "compact"}
    for column in ("auc", "specificity_at_99_sensitivity", "n_positive", "n_negative"):
        pd.testing.assert_series_equal(card.loc[found.index, column], found[column], atol=2e-3, check_dtype=False)


def test_no_identity_is_in_two_splits(data_pack):
    read_dataset("open-pack", data_pack).check_disjoint()
