"""Claims: comparing two pictures ends with a verdict, the threshold behind it, where that comes from, and a scale."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from commands import lcmem
from lcmem.jobs.compare import compare_pair, measure_scale
from lcmem.jobs.usual_scores import SHARES, measure_strangers, usual_share
from lcmem.matching.features import extract_features
from lcmem.pictures.manifest import Manifest
from lcmem.stats.calibration import DEFAULT_RATE

pytestmark = pytest.mark.usefixtures("encoded_once")


def test_identical_files_are_called_identical(faces, tmp_path):
    copy = shutil.copy(faces / "s1" / "1.pgm", tmp_path / "copy.pgm")
    with Image.open(copy) as picture:
        picture.save(tmp_path / "again.png")
    for other in (copy, tmp_path / "again.png"):
        done = lcmem("compare", faces / "s1" / "1.pgm", other, "--threshold", 0.9999, "--exit-code")
        assert done.returncode == 0 and done.stdout.startswith("identical"), "whatever the threshold"


def test_the_default_says_where_it_comes_from(faces):
    done = lcmem("compare", faces / "s1" / "1.pgm", faces / "s2" / "1.pgm")
    assert done.returncode == 0
    assert "threshold: p 0.5000" in done.stdout and "the paper's" in done.stdout and "--against" in done.stdout
    assert re.search(r"a picture with itself reaches p (0\.9|1\.0)", done.stdout)
    assert len(re.findall(r"of pairs of different people lie above it", done.stdout)) == 2, "of threshold and score"


@pytest.mark.parametrize(("other", "code"), [("copy.jpg", 0), ("s2.pgm", 3)])
def test_a_threshold_measured_on_pictures_like_these(faces, people, weights, tmp_path, other, code):
    people.rows(range(60, 160)).write(tmp_path / "set.csv")
    Image.open(faces / "s1" / "1.pgm").save(tmp_path / "copy.jpg", quality=60)
    shutil.copy(faces / "s2" / "1.pgm", tmp_path / "s2.pgm")
    options = ["--against", tmp_path / "set.csv", "--exit-code", "--workers", 0, "--model", weights]
    done = lcmem("compare", faces / "s1" / "1.pgm", tmp_path / other, *options)
    assert done.returncode == code, done.stderr
    assert re.search(r"at most 1% of 4,500 pairs of different identities reach it", done.stdout)
    assert re.search(r"scale: [0-9.]+% of these pairs lie above p 0\.5", done.stdout)


def test_the_scale_is_that_of_all_pairs(people, compact):
    few = extract_features(people.rows(range(60)), compact, None, workers=0)
    logits = compact.similarities(few.features, few.features).numpy()
    person = np.array(few.manifest.identities)
    apart = logits[np.triu(person[:, None] != person, 1)]
    scale = measure_scale(few, compact, few.features[:2])
    assert scale.pairs == len(apart)
    bin_width = 0.11  # of the histogram: the pairs above p = 0.5 need not be kept
    assert (apart >= bin_width).mean() <= scale.above_half <= (apart >= -bin_width).mean()
    assert (apart >= scale.threshold).mean() <= DEFAULT_RATE < (apart >= scale.threshold - 0.5).mean()
    unknown = extract_features(Manifest(people.rows(range(60)).table.assign(identity="")), compact, None, workers=0)
    other = measure_scale(unknown, compact, few.features[:2])
    assert not other.known and other.pairs == 60 * 59 / 2 and scale.kinds == other.kinds == []


def test_the_scale_is_that_of_pictures_like_these(people, compact):
    """A set of two datasets is compared with itself within that of the two pictures."""
    table = people.rows(range(80)).table
    kinds = np.repeat(["one", "two"], 40)
    found = extract_features(Manifest(table.assign(dataset=kinds)), compact, None, workers=0)
    for at, kind in ((0, "one"), (79, "two")):
        scale = measure_scale(found, compact, found.features[[at, at]])
        assert scale.kinds == [kind] and scale.pairs == 4 * 3 / 2 * 100
    assert measure_scale(found, compact, found.features[[0, 79]]).kinds == []


def test_a_card_says_how_many_strangers_lie_above_a_score(people, compact, monkeypatch):
    few = extract_features(people.rows(range(60)), compact, None, workers=0)
    logits = compact.similarities(few.features, few.features).numpy()
    person = np.array(few.manifest.identities)
    apart = logits[np.triu(person[:, None] != person, 1)]
    found = measure_strangers({"orl": few, "tiny": extract_features(people.rows(range(9, 12)), compact, None)}, compact)
    assert list(found["datasets"]) == ["orl"] and found["datasets"]["orl"]["pairs"] == len(apart)
    for share, score in zip(SHARES, found["datasets"]["orl"]["scores"], strict=True):
        assert (apart >= score + 0.001).mean() <= share < (apart >= score - 0.5).mean()
    monkeypatch.setitem(compact.card, "strangers", found)
    level = found["datasets"]["orl"]["scores"][3]
    assert usual_share(compact, level).startswith("5.0% of pairs")
    assert f"{len(apart):,} pairs" in usual_share(compact, level)
    assert usual_share(compact, 50.0).startswith("less than 0.1%") and "more than 50%" in usual_share(compact, -50.0)
    monkeypatch.delitem(compact.card, "strangers")
    assert usual_share(compact, 0.0) == ""


def test_a_turned_picture_is_the_same_picture(faces, tmp_path):
    Image.open(faces / "s1" / "1.pgm").transpose(Image.Transpose.ROTATE_180).save(tmp_path / "turned.jpg", quality=80)
    done = lcmem("compare", faces / "s1" / "1.pgm", tmp_path / "turned.jpg", "--threshold", 0.9999, "--exit-code")
    assert done.returncode == 0 and done.stdout.startswith("match: the same picture"), done.stdout
    other = lcmem("compare", faces / "s1" / "2.pgm", tmp_path / "turned.jpg", "--threshold", 0.9999, "--exit-code")
    assert other.returncode == 3 and other.stdout.startswith("no match"), "another photo of the same person is not"


def test_a_detector_without_probabilities(faces):
    a, b = faces / "s1" / "1.pgm", faces / "s1" / "2.pgm"
    undecided = lcmem("compare", a, b, "--model", "mse", "--exit-code")
    assert undecided.returncode == 4 and undecided.stdout.startswith("undecided") and "--threshold" in undecided.stdout
    assert lcmem("compare", a, b, "--model", "mse", "--threshold", -1, "--exit-code").returncode == 0


@pytest.mark.parametrize(("model", "more"), [("compact", ["--threshold", 0]), ("phash", ["--against"])])
def test_json_is_all_that_is_printed(faces, model, more):
    more = [*more, faces / "s3"] if more == ["--against"] else more
    done = lcmem("compare", faces / "s1" / "1.pgm", faces / "s1" / "2.pgm", "--model", model, *more, "--json")
    found = json.loads(done.stdout)
    assert found["model"] == model and found["verdict"] in ("match", "no match") and found["origin"]
    assert (found["score_probability"] is None, found["scale"] is None) == (
        (True, False) if model == "phash" else (False, True)
    )
    assert found["threshold_probability"] == 0 if model == "compact" else found["scale"]["pairs"] == 45


def test_a_picture_that_shows_nothing_is_neither_a_match_nor_none(faces, tmp_path):
    """As a safety checker gives it; the other commands set it aside."""
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    for pair in ((faces / "s1" / "1.pgm", tmp_path / "black.png"), (tmp_path / "black.png", faces / "s1" / "1.pgm")):
        done = lcmem("compare", *pair, "--exit-code")
        assert done.returncode == 4 and done.stdout.startswith("undecided: one of them shows nothing")
    assert lcmem("compare", tmp_path / "black.png", tmp_path / "black.png", "--exit-code").returncode == 0


def test_from_python(faces, compact):
    found = compare_pair(str(faces / "s1" / "1.pgm"), str(faces / "s1" / "2.pgm"), compact, threshold=0.01)
    assert found.verdict == "match" and found.score < found.highest
