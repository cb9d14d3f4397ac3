"""Claims: a scan's files agree with brute force; a set with itself counts each pair once, by identity."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.atlas import Atlas, fill_atlas
from lcmem.errors import LCMemError
from lcmem.jobs.duplicates import find_duplicates
from lcmem.jobs.scan.run import scan_sets
from lcmem.matching.asked import Asked
from lcmem.matching.features import extract_features, read_source
from lcmem.pictures.manifest import Manifest
from test_cli import lcmem

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def people(orl):
    return orl.rows(range(40))


@pytest.fixture(scope="module")
def atlas(people, compact, tmp_path_factory):
    made = Atlas.create(tmp_path_factory.mktemp("atlas"), compact)
    fill_atlas(people, compact, made, workers=0)
    return made


def brute_force(atlas, compact):
    u = torch.from_numpy(atlas.features())
    first, second = np.triu_indices(len(u), 1)
    return first, second, compact.logits(u[first], u[second]).numpy()


def test_a_set_with_itself(atlas, compact, people, tmp_path):
    first, second, logits = brute_force(atlas, compact)
    identity = np.array(people.identities)
    same = identity[first] == identity[second]
    ordered = np.sort(logits)
    level = float(ordered[[700, 701]].mean())  # between two scores: as a probability it is rounded
    summary = scan_sets(atlas, None, compact, tmp_path, asked=Asked(threshold=1 / (1 + np.exp(-level))), k=2)
    above = logits >= level
    assert summary["pairs"] == 40 * 39 // 2
    assert summary["matches"] == {"unknown": 0, "same": (above & same).sum(), "different": (above & ~same).sum()}
    matches = pd.read_parquet(tmp_path / "matches.parquet")
    paths = np.array(people.paths)
    expected = {frozenset(pair) for pair in zip(paths[first[above]], paths[second[above]], strict=True)}
    assert {frozenset(pair) for pair in zip(matches["query"], matches["gallery"], strict=True)} == expected
    np.testing.assert_allclose(np.sort(matches["logit"]), np.sort(logits[above]), atol=1e-9)
    wrong = np.unique(np.concatenate((first[above & ~same], second[above & ~same])))
    assert summary["queries_that_match_another_identity"] == len(wrong)
    histogram = pd.read_csv(tmp_path / "histogram.csv")
    assert histogram["same"].sum() == same.sum() and histogram["different"].sum() == (~same).sum()
    best = pd.read_csv(tmp_path / "best.csv")
    assert len(best) == 80 and (best["query"] != best["gallery"]).all()
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert (tmp_path / "histogram.png").stat().st_size > 5000


def test_pictures_against_an_atlas(atlas, compact, people, tmp_path):
    few = people.rows([3, 15])
    summary = scan_sets(few, atlas, compact, tmp_path, k=1)
    best = pd.read_csv(tmp_path / "best.csv")
    assert best["query"].tolist() == best["gallery"].tolist() == few.paths, "each finds itself"
    assert summary["pairs"] == 80
    again = scan_sets(few, atlas, compact, tmp_path, k=1)
    assert again == summary
    anonymous = Manifest(few.table.assign(identity=""))
    with pytest.raises(LCMemError, match="stands for no set"):
        read_source(tmp_path / "features")
    assert scan_sets(anonymous, atlas, compact, tmp_path / "b", k=1)["pairs_of_each_kind"]["unknown"] == 80


def test_as_a_user_runs_it(atlas, weights, tmp_path):
    done = lcmem("scan", atlas.folder, "--model", weights, "--out", tmp_path / "out", "--threshold", "0.9")
    assert done.returncode == 0, done.stderr
    assert "780 pairs" in done.stdout and "same identity" in done.stdout
    wrong = lcmem("scan", atlas.folder, "--threshold", "1.5")
    assert wrong.returncode == 1 and "between 0 and 1" in wrong.stderr


def test_a_threshold_of_one_s_own_is_judged_and_the_default_is_calibrated(orl, compact, tmp_path):
    """Half of all strangers lie above p 0.5 to some picture; what a scan finds by itself is not chance."""
    faces = orl.rows(range(0, 400, 4))
    loose = scan_sets(faces, None, compact, tmp_path / "loose", asked=Asked(threshold=0.5), workers=0)
    assert loose["false_positive_rate"] > 0.05 and "by chance" in loose["threshold_explanation"]
    found = scan_sets(faces, None, compact, tmp_path / "own", workers=0)
    assert found["threshold_method"] == "identities" and found["threshold"] > 0.5
    assert found["queries_that_match_another_identity"] <= 0.05 * found["queries"]
    assert loose["queries_that_match_another_identity"] > 0.05 * loose["queries"]
    rate = Asked(false_positive_rate=0.2)
    often = scan_sets(faces, None, compact, tmp_path / "often", asked=rate, workers=0)
    assert often["threshold"] < found["threshold"] and found["false_positive_rate"] < 0.1 < often["false_positive_rate"]
    features = extract_features(faces, compact, None, workers=0)
    assert find_duplicates(features, compact, rate).threshold < find_duplicates(features, compact).threshold


def test_the_warning_is_printed(atlas, weights, tmp_path):
    done = lcmem("scan", atlas.folder, "--model", weights, "--out", tmp_path / "out", "--threshold", "0.05")
    assert done.returncode == 0 and "match at this threshold by chance" in done.stderr


def test_another_models_atlas(atlas, compact, tmp_path):
    from lcmem.detectors.lcmem import LCMem

    LCMem(compact.network, compact.encoder, 160, name="other").save(tmp_path / "other")
    with pytest.raises(LCMemError, match="another model"):
        scan_sets(atlas, None, LCMem.load(tmp_path / "other"), tmp_path / "out")
