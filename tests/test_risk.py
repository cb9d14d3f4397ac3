"""Claims: risk is told by identity, group, label and training picture; sets of other sources are told apart."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_spd_matrix

from lcmem.jobs.audit.risk import Risk, group_columns, measure_risk
from lcmem.pictures.manifest import Manifest
from lcmem.stats.rates import excess, proportion
from lcmem.stats.separation import separation

REAL = pd.DataFrame(
    [
        ("a1", "ann", "f", "x1"), ("a2", "ann", "f", "x2"), ("b1", "bob", "m", "x3"), ("b2", "bob", "m", "x4"),
        ("c1", "", "m", "x5"), ("d1", "dan", "m", "x6"),
    ],
    columns=["path", "identity", "sex", "number"],
)  # fmt: skip
SYNTHETIC = pd.DataFrame({"path": ["s1", "s2", "s3", "s4"], "identity": "", "label": ["cat", "cat", "dog", "dog"]})
MATCHES = pd.DataFrame(
    [
        ("s1", "a1", 9.0, 1, True, "copy"), ("s1", "a2", 5.0, 2, True, "same identity"),
        ("s2", "a1", 6.0, 1, True, "same identity"), ("s2", "c1", 5.5, 2, True, "same identity"),
        ("s3", "b1", 1.0, 1, False, "no match"), ("s3", "a1", 0.5, 2, False, "no match"),
        ("s4", "b2", 1.0, 1, False, "no match"), ("s4", "d1", 0.5, 2, False, "no match"),
    ],
    columns=["synthetic", "real", "logit", "rank", "match", "verdict"],
)  # fmt: skip


@pytest.fixture
def risk():
    copies = np.array([0, 1, 2, 3, 0, 4])  # c1 is a copy of a1
    return measure_risk(MATCHES, Manifest(REAL), Manifest(SYNTHETIC), copies, np.arange(4))


def test_by_identity_and_by_picture(risk):
    assert risk.identities.to_numpy().tolist() == [["ann", 2, 2, 1, 9.0], ["c1", 1, 1, 0, 5.5]]
    assert risk.pictures["path"].tolist() == ["a1", "c1", "a2"]
    assert risk.pictures.iloc[0].tolist() == ["a1", "ann", 2, 1, 9.0, 2]
    assert risk.duplicates.to_numpy().tolist() == [[1, "a1", "ann", 2], [1, "c1", "", 1]]


def test_by_group_of_people_and_by_what_pictures_were_made_for(risk):
    groups = risk.groups.set_index("value")
    assert set(risk.groups["column"]) == {"sex"}, "what names every picture names no group"
    assert groups.loc["f", ["pictures", "identities", "hit"]].tolist() == [2, 1, 1]
    assert groups.loc["m", ["pictures", "identities", "hit"]].tolist() == [4, 3, 1]
    rate = proportion(1, 3)
    assert groups.loc["m", ["share", "low", "high"]].tolist() == pytest.approx([rate.value, rate.low, rate.high])
    labels = risk.labels.set_index("value")
    assert labels["matched"].to_dict() == {"cat": 2, "dog": 0} and labels.loc["dog", "high"] < 1


def test_people_and_paths_are_no_groups():
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(12)], "identity": [f"p{k // 2}" for k in range(12)]})
    table = table.assign(patient=table["identity"].str.upper(), source=[f"a/{k % 3}.png" for k in range(12)])
    table = table.assign(site=[f"ward {k % 3}" for k in range(12)], dose=[0.25 + 0.25 * (k % 3) for k in range(12)])
    assert group_columns(Manifest(table)) == ["site", "dose"]


def test_it_is_kept_and_read_again(risk, tmp_path):
    risk.save(tmp_path)
    again = Risk.load(tmp_path)
    for name in ("identities", "groups", "labels", "pictures", "duplicates"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(risk, name), check_dtype=False)


def test_nothing_matched(tmp_path):
    none = measure_risk(MATCHES.assign(match=False), Manifest(REAL), Manifest(SYNTHETIC), np.arange(6), np.arange(4))
    assert not len(none.identities) and not len(none.pictures) and (none.groups["hit"] == 0).all()
    none.save(tmp_path)
    assert not len(Risk.load(tmp_path).pictures)


def test_the_excess_is_tested():
    """A score test of 30 of 100 against 10 of 100: z = 0.2 / sqrt(2 · 0.2 · 0.8 / 100)."""
    assert excess(proportion(30, 100), proportion(10, 100)).p_value == pytest.approx(0.000203, rel=0.01)
    assert (
        excess(proportion(5, 100), proportion(10, 100)).p_value
        == excess(proportion(0, 50), proportion(0, 50)).p_value
        == 1
    )
    assert excess(proportion(30, 100, 10.0), proportion(10, 100, 10.0)).p_value > 0.1, "worth ten each"
    assert excess(proportion(1, 1), proportion(0, 1)).p_value > 0.05


def pictures(rng, people, mean):
    shape = np.linalg.cholesky(make_spd_matrix(8, random_state=0))
    faces = rng.normal(size=(people, 1, 8)) + 0.3 * rng.normal(size=(people, 4, 8))
    return (faces.reshape(-1, 8) @ shape.T + mean).astype(np.float32), np.repeat(np.arange(people), 4)


@pytest.mark.parametrize(("shift", "easy"), [(0.0, False), (4.0, True)])
def test_sets_of_other_people_are_not_told_apart_but_other_sources_are(rng, shift, easy):
    (one, mine), (two, theirs) = pictures(rng, 60, 0.0), pictures(rng, 60, shift)
    found = separation(one, two, mine, theirs)
    assert found.easy == easy and (found.low <= 0.5 <= found.high) != easy


def test_one_person_in_half_of_the_pictures_tells_little(rng):
    """Thirty people of four pictures each, and one of 120: whom the set shows is not where it is from."""
    covered = []
    for _ in range(12):
        (one, mine), (two, theirs) = pictures(rng, 60, 0.0), pictures(rng, 60, 0.0)
        many = one[:1] + 0.3 * rng.normal(size=(120, 8)).astype(np.float32)
        found = separation(np.concatenate((one[:120], many)), two, np.append(mine[:120], np.full(120, 99)), theirs)
        covered.append(found.low <= 0.5 <= found.high)
    assert np.mean(covered) >= 0.9


def test_too_few_people_tell_nothing(rng):
    one, mine = pictures(rng, 10, 0.0)
    assert separation(one, one, mine, mine) is None
