"""Claims: an audit of kinds of pictures that the model learnt no identities of says so, and one of people does not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import lcmem
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.jobs.audit.other_models import LOOKED_AT, other_model
from lcmem.matching.features import extract_features
from lcmem.pictures.manifest import Manifest
from lcmem.scan.chunked import ChunkedRows

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Six parts of each of scikit-learn's two photos, a palace and a flower."""
    folder = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(load_sample_images().images):
        for part in range(6):
            top, left = 200 * (part // 3), 210 * (part % 3)
            Image.fromarray(photo[top : top + 220, left : left + 220]).save(folder / f"{number}-{part}.png")
    return folder


@pytest.fixture(scope="module")
def sets(bundled, photos, orl):
    """Features of the photos, and of twelve people."""
    people = orl.rows(range(0, 120, 10))
    return [extract_features(each, bundled, None, workers=0) for each in (Manifest.read(photos), people)]


def test_photos_are_of_another_kind_and_faces_are_not(bundled, sets):
    hint = other_model(sets[0], bundled)
    assert hint.startswith("12 of 12 real pictures that were looked at are of kinds that compact learnt no identities")
    assert "better by --model efficientnet-lite0" in hint and "emoji 0.970 and 0.932;" in hint
    assert "learnt no identities" not in str(other_model(sets[1], bundled))


def test_most_pictures_decide(bundled, sets):
    photos, people = (each.blocks[0:12] for each in sets)
    many = replace(sets[0], blocks=ChunkedRows([np.repeat(people, 500, axis=0), np.repeat(photos, 510, axis=0)]))
    assert f" of {LOOKED_AT} real pictures" in other_model(many, bundled)
    assert other_model(replace(many, blocks=ChunkedRows([people, photos])), bundled) is None, "half of them"


def test_nothing_is_said_of_models_whose_cards_know_nothing(bundled, sets, monkeypatch):
    assert other_model(sets[0], load_detector("phash", Options())) is None
    monkeypatch.delitem(bundled.card, "kinds")
    assert other_model(sets[0], bundled) is None


def test_an_audit_says_it(photos, tmp_path):
    audited = lcmem.audit(photos, photos, out=tmp_path / "out")
    assert "--model efficientnet-lite0" in audited.about["hint"]
    assert "--model efficientnet-lite0" in json.loads((tmp_path / "out" / "summary.json").read_text())["hint"]
