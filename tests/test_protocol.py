"""Claims: each setting does what the official code does, or what we do instead; one test for each trap."""

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.augment import Augmentation
from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.latents import build_store, encode_pictures
from lcmem.model import SiameseNetwork
from lcmem.pairs import identity_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.training.module import StageTraining
from lcmem.training.presets import load_recipe

PAPER, SMALL = load_recipe("paper"), load_recipe("small")


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def store(orl, vae, tmp_path_factory):
    table = orl.rows(range(40)).table.assign(split="train", dataset=["a"] * 20 + ["b"] * 20)
    return build_store(Manifest(table), load_encoder(vae), 64, tmp_path_factory.mktemp("store"))


def module(store, vae, **changes):
    network = SiameseNetwork(SMALL.network.settings(4))
    stage = PAPER.stage2.model_copy(update={"epochs": 5, "steps_per_epoch": 20} | changes.pop("stage", {}))
    return StageTraining(network, PAPER.model_copy(update=changes), stage, load_encoder(vae), store, {})


@pytest.mark.parametrize("input_range", ["unit", "symmetric"])
def test_pictures_enter_the_autoencoder_in_0_1_or_minus_1_1(vae, pictures, input_range):
    original = diffusers.AutoencoderKL.from_pretrained(vae)
    given = pictures / 255 if input_range == "unit" else pictures / 127.5 - 1
    expected = original.encode(given).latent_dist.mode()
    found = load_encoder(vae, input_range=input_range).encode(pictures / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("latents", ["sample", "mode"])
def test_training_sees_sampled_latents_or_their_mode(vae, pictures, latents):
    encoder = load_encoder(vae, latents=latents)
    again = torch.equal(encode_pictures(pictures, encoder), encode_pictures(pictures, encoder))
    assert again == (latents == "mode")


@pytest.mark.parametrize("used", [("unit", "sample"), ("symmetric", "mode"), ("unit", "mode")])
def test_detectors_are_deterministic_and_remember_how_the_encoder_was_used(vae, pictures, used, tmp_path):
    encoder = load_encoder(vae, input_range=used[0], latents=used[1])
    LCMem(SiameseNetwork(SMALL.network.settings(4)), encoder, 128, name="x").save(tmp_path / "x")
    detector = LCMem.load(tmp_path / "x")
    assert (detector.encoder.card.input_range, detector.encoder.card.latents) == used
    large = pictures.repeat(1, 1, 2, 2)
    assert torch.equal(detector.embed(large), detector.embed(large))


@pytest.mark.parametrize("gain", [1.0, 2.0])
def test_brightness_and_contrast(gain):
    """A factor between 1.0 and 1.0 is the identity."""
    augmentation = Augmentation(gain=gain, noise_sigma=0, blur_sigma=0, quality=None, degrees=0, probability=1)
    means = augmentation(torch.full((100, 3, 16, 16), 0.4)).mean((1, 2, 3))
    assert (means.std() > 0.05) == (gain == 2)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rate(store, vae, schedule):
    """A cosine down to ``eta_min = lr`` is constant."""
    configured = module(store, vae, stage={"schedule": schedule}).configure_optimizers()
    optimizer, rates = configured["optimizer"], []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if "lr_scheduler" in configured:
            configured["lr_scheduler"]["scheduler"].step()
    assert max(rates) == pytest.approx(8e-5, rel=1e-3)
    assert rates[-1] == 8e-5 if schedule == "constant" else rates[-1] < 1e-7


@pytest.mark.parametrize("by", ["dataset", "mix"])
def test_latents_are_normalised_by_dataset_or_over_the_mix(store, vae, by):
    training = module(store, vae, normalise=by)
    statistics = store.statistics()
    training.network.mean.copy_(torch.from_numpy(statistics.mean))
    training.network.std.copy_(torch.from_numpy(statistics.std))
    dataset = torch.tensor([0] * 20 + [1] * 20)
    normalised = training.normalise(store.read(np.arange(40)), dataset)
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    of_a = normalised[:20].mean((0, 2, 3)).abs().max()
    assert (of_a < 1e-4) == (by == "dataset")
    if by == "dataset":
        torch.testing.assert_close(normalised, store.read(np.arange(40), normalise=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("protocol", ["paper", "fixed"])
def test_negatives_have_the_first_picture_of_the_other_identity_or_any(protocol):
    names = [f"p{k // 5}" for k in range(50)]
    manifest = Manifest(pd.DataFrame({"path": [f"{k}.png" for k in range(50)], "identity": names, "dataset": "d"}))
    pairs = identity_pairs(manifest, protocol=protocol)
    seconds = set((pairs.second[~pairs.same] % 5).tolist())
    assert seconds == ({0} if protocol == "paper" else {0, 1, 2, 3, 4})
    identity = np.array(names)
    assert (identity[pairs.first[~pairs.same]] != identity[pairs.second[~pairs.same]]).all()
