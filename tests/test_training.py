"""Claims: batches are what the sampler promises; a real, tiny training of both stages separates people it never saw."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.manifest import Manifest
from lcmem.metrics import auc
from lcmem.pairs import identity_pairs
from lcmem.training.autoencoder import train_autoencoder
from lcmem.training.recipe import STAGE1, STAGE2, AutoencoderRecipe
from lcmem.training.sampler import PairSampler, domains
from lcmem.training.stages import train_stage


def table(rows):
    frame = pd.DataFrame(rows, columns=["identity", "dataset"])
    return Manifest(frame.assign(path=[f"{k}.png" for k in range(len(frame))], split="train"))


@pytest.fixture
def mixed():
    """Two face sets that share people, scans, and a set without identities."""
    rows = [(f"p{k // 3}", "faces" if k % 2 else "faces64") for k in range(60)]
    rows += [(f"q{k // 2}", "scans") for k in range(20)] + [("", "photos")] * 30
    return table(rows)


def test_datasets_that_share_identities_are_one_domain(mixed):
    codes = domains(mixed)
    names = mixed.table["dataset"].to_numpy()
    assert set(codes[names == "faces"]) == set(codes[names == "faces64"])
    assert len(set(codes)) == 3


def test_batches(mixed):
    sampler = PairSampler(mixed, pairs=16, chunk=8, seed=0)
    identities, codes = np.array(mixed.identities), domains(mixed)
    for number in range(30):
        first, second, labels = sampler.batch(number)
        assert len(first) == 16 and (identities[first] == identities[second]).all()
        single = mixed.table["dataset"].to_numpy()[first] == "photos"
        assert ((first != second) | single).all(), "two pictures wherever there are two"
        assert (len(set(codes[first[:8]])), len(set(codes[first[8:]]))) == (1, 1), "a chunk is from one domain"
        assert len(set(labels[:8])) == 8, "identities are not repeated within a chunk"
        again = PairSampler(mixed, pairs=16, chunk=8, seed=0).batch(number)
        assert all(np.array_equal(a, b) for a, b in zip((first, second, labels), again, strict=True))


def test_small_domains_are_oversampled(mixed):
    sampler = PairSampler(mixed, pairs=16, chunk=8, seed=0)
    names = mixed.table["dataset"].to_numpy()
    drawn = np.concatenate([names[sampler.batch(number)[0]] for number in range(200)])
    share = (drawn == "scans").mean()
    assert share > 20 / 110 * 1.3, "more often than their share of the pictures"


def test_too_few_identities():
    with pytest.raises(LCMemError, match="2 identities are too few"):
        PairSampler(table([("a", "d"), ("a", "d"), ("b", "d")]), 4, 4, 0)


@pytest.mark.parametrize("setting", ["unknown=1", "epochs=many", "epochs"])
def test_bad_settings(setting):
    with pytest.raises(LCMemError):
        STAGE1.with_settings([setting])


def test_identity_in_two_splits(tmp_path):
    manifest = Manifest(table([("a", "d")] * 2).table.assign(split=["train", "val"]))
    with pytest.raises(LCMemError, match="more than one split"):
        train_stage(1, manifest, tmp_path, STAGE1)


@pytest.fixture(scope="module")
def people(orl):
    number = orl.table["identity"].str[1:].astype(int)
    split = np.select([number <= 26, number <= 32], ["train", "val"], "test")
    return Manifest(orl.table.assign(split=split))


@pytest.fixture(scope="module")
def run(people, tmp_path_factory):
    """A minute of both stages on 26 people, on the bundled encoder's latents."""
    folder = tmp_path_factory.mktemp("run")
    small = ["pairs=24", "chunk=24", "steps_per_epoch=15"]
    one = train_stage(1, people, folder, STAGE1.with_settings([*small, "epochs=3"]), size=128)
    two = train_stage(2, people, folder, STAGE2.with_settings([*small, "epochs=1"]), start_from=one, size=128)
    return folder, one, two


@pytest.mark.parametrize("stage", [1, 2])
def test_a_short_training_separates_people_never_seen(run, people, stage):
    detector = LCMem.load(run[stage])
    test = people.select(split="test")
    pairs = identity_pairs(test)
    u = detector.features(test.paths)
    scores = detector.logits(u[pairs.first], u[pairs.second]).numpy()
    pixels = np.stack([np.ravel(p) for p in _thumbnails(test)])
    pixels = (pixels - pixels.mean(1, keepdims=True)) / pixels.std(1, keepdims=True)
    correlation = (pixels[pairs.first] * pixels[pairs.second]).mean(1)
    assert auc(scores, pairs.same) > 0.8
    assert auc(scores, pairs.same) > auc(correlation, pairs.same) - 0.05


def _thumbnails(manifest):
    from lcmem.images import load_picture

    return [load_picture(path, 64)[0] for path in manifest.paths]


def test_card_tells_what_it_was_trained_on(run):
    card = json.loads((run[2] / "card.json").read_text())
    assert [record["stage"] for record in card["training"]] == [1, 2]
    assert card["training_data"] == [{"dataset": "ORL_faces", "pictures": 260, "identities": 26}]
    assert card["encoder"]["sha256"] == load_encoder().card.sha256
    assert card["training"][0]["recipe"]["epochs"] == 3
    assert (run[0] / "logs1" / "version_0" / "metrics.csv").is_file()


def test_stage_1_resumes(run, people):
    """The same command again finds the finished run and ends with the same weights."""
    before = LCMem.load(run[1]).fingerprint
    small = ["pairs=24", "chunk=24", "steps_per_epoch=15", "epochs=3"]
    train_stage(1, people, run[0], STAGE1.with_settings(small), size=128)
    assert LCMem.load(run[1]).fingerprint == before


def test_autoencoder_learns(people, tmp_path):
    recipe = AutoencoderRecipe(size=64, crop=32, steps=60, batch_size=16)
    folder = train_autoencoder(people, tmp_path, recipe)
    card = json.loads((folder / "card.json").read_text())
    assert card["metrics"]["val_psnr"] > 18
    encoder = load_encoder(folder)
    assert encoder.encode(torch.rand(1, 3, 64, 64)).shape == (1, 4, 8, 8)
