"""Claims: one-vs-all counts what a naive loop counts; a detector that the engine cannot compare is reported."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lcmem.errors import LCMemWarning
from lcmem.evaluation.one_vs_all import ALL, benchmark_one_vs_all
from lcmem.pictures.manifest import Manifest

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def table(orl, compact, tmp_path_factory):
    faces = orl.rows(range(0, 400, 5)).table  # two pictures of each of 40 people
    datasets = np.where(np.arange(80) < 60, "a", "b")
    test, val = (Manifest(faces[part].assign(dataset=datasets[part])) for part in (slice(0, 70), slice(50, 80)))
    out = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lcmem.scan.state.HELD", 10)  # matches that memory may hold: a weak detector has millions
        with pytest.warns(LCMemWarning, match="30 pictures of the validation split cannot show a rate of 1%, but"):
            found = benchmark_one_vs_all(test, val, [compact, "mse"], out, size=compact.size)
    assert (out / "one_vs_all-compact.svg").is_file() and (out / "one_vs_all.csv").is_file()
    return test, found


def test_counts_are_those_of_a_loop_over_all_pairs(table, compact):
    test, found = table
    features = compact.features(test.paths)
    names = test.identities
    pairs = [*itertools.combinations(range(len(test)), 2)]
    logits = compact.logits(*(features[list(side)] for side in zip(*pairs, strict=True))).numpy()
    same = np.array([names[i] == names[j] for i, j in pairs])
    for row in found[(found["dataset"] == ALL) & (found["detector"] == "compact")].itertuples():
        above = logits >= row.threshold
        rejected = {
            at for (i, j), hit, twin in zip(pairs, above, same, strict=True) if hit and not twin for at in (i, j)
        }
        assert (row.n_positive, row.n_negative, row.n_pictures) == (same.sum(), (~same).sum(), 70)
        assert row.n_identities == 35 and row.false_rejects == len(rejected)
        assert row.false_reject_rate_low <= row.false_reject_rate <= row.false_reject_rate_high
        assert row.recall == pytest.approx(above[same].mean())
        assert row.false_positive_rate == pytest.approx(above[~same].mean())


def test_each_dataset_is_compared_within_itself(table):
    _, found = table
    rows = found[(found["detector"] == "compact") & (found["threshold_rule"] == "p > 0.5")].set_index("dataset")
    assert rows["n_positive"].to_dict() == {"a": 30, "b": 5, ALL: 35}
    assert rows["n_negative"].to_dict() == {"a": 60 * 59 // 2 - 30, "b": 45 - 5, ALL: 70 * 69 // 2 - 35}


def test_the_calibrated_threshold_rejects_one_in_a_hundred_of_the_pictures_it_was_chosen_on(orl, weights, tmp_path):
    row = benchmark_one_vs_all(orl, orl, [weights], tmp_path).set_index("threshold_rule").loc["1 % of val"]
    assert 1 <= row["false_rejects"] <= 4, "of 400 pictures"


def test_a_detector_without_weighted_distance_is_reported(table):
    _, found = table
    rows = found[found["detector"] == "mse"]
    assert set(rows["dataset"]) == {"a", "b", ALL} and rows["status"].str.contains("weighted L1").all()
    assert pd.isna(rows["recall"]).all()
