"""Claims: ``protocol = "paper"`` does what the official code does, ``fixed`` repairs it; one test for each trap."""

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.latents import build_store, encode_pictures
from lcmem.model import SiameseNetwork
from lcmem.pairs import identity_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.training.module import StageTraining
from lcmem.training.presets import PAPER, SMALL

PROTOCOLS = ["paper", "fixed"]


@pytest.fixture
def pictures():
    return torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def store(orl, vae, tmp_path_factory):
    table = orl.rows(range(40)).table.assign(split="train", dataset=["a"] * 20 + ["b"] * 20)
    return build_store(Manifest(table), load_encoder(vae), 64, tmp_path_factory.mktemp("store"))


def module(store, vae, protocol, **changes):
    recipe = PAPER.model_copy(update={"protocol": protocol})
    network = SiameseNetwork(SMALL.network.settings(4))
    stage = PAPER.stage2.model_copy(update={"epochs": 5, "steps_per_epoch": 20, **changes})
    return StageTraining(network, recipe, stage, load_encoder(vae, protocol=protocol), store)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pictures_enter_the_autoencoder_in_0_1_or_minus_1_1(vae, pictures, protocol):
    original = diffusers.AutoencoderKL.from_pretrained(vae)
    given = pictures / 255 if protocol == "paper" else pictures / 127.5 - 1
    expected = original.encode(given).latent_dist.mode()
    found = load_encoder(vae, protocol=protocol).encode(pictures / 255)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_training_sees_sampled_latents_or_their_mode(vae, pictures, protocol):
    encoder = load_encoder(vae, protocol=protocol)
    again = torch.equal(encode_pictures(pictures, encoder), encode_pictures(pictures, encoder))
    assert again == (protocol == "fixed")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_detectors_are_deterministic_and_remember_the_protocol(vae, pictures, protocol, tmp_path):
    encoder = load_encoder(vae, protocol=protocol)
    LCMem(SiameseNetwork(SMALL.network.settings(4)), encoder, 128, name="x").save(tmp_path / "x")
    detector = LCMem.load(tmp_path / "x")
    assert detector.encoder.card.protocol == protocol
    large = pictures.repeat(1, 1, 2, 2)
    assert torch.equal(detector.embed(large), detector.embed(large))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_brightness_and_contrast(store, vae, protocol):
    """A factor between 1.0 and 1.0 is the identity."""
    augmentation = module(store, vae, protocol).augmentation
    grey = torch.full((100, 3, 16, 16), 0.4)
    only_gain = {"noise_sigma": 0, "blur_sigma": 0, "quality": None, "degrees": 0, "probability": 1.0}
    means = type(augmentation)(**{**vars(augmentation), **only_gain})(grey).mean((1, 2, 3))
    assert (means.std() > 0.05) == (protocol == "fixed")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_learning_rate(store, vae, protocol):
    """A cosine down to ``eta_min = lr`` is constant."""
    configured = module(store, vae, protocol).configure_optimizers()
    optimizer, rates = configured["optimizer"], []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if "lr_scheduler" in configured:
            configured["lr_scheduler"]["scheduler"].step()
    assert max(rates) == pytest.approx(8e-5, rel=1e-3)
    assert rates[-1] == 8e-5 if protocol == "paper" else rates[-1] < 1e-7


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_latents_are_normalised_by_dataset_or_over_the_mix(store, vae, protocol):
    training = module(store, vae, protocol)
    statistics = store.statistics()
    training.network.mean.copy_(torch.from_numpy(statistics.mean))
    training.network.std.copy_(torch.from_numpy(statistics.std))
    dataset = torch.tensor([0] * 20 + [1] * 20)
    normalised = training.normalise(store.read(np.arange(40)), dataset)
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    of_a = normalised[:20].mean((0, 2, 3)).abs().max()
    assert (of_a < 1e-4) == (protocol == "paper")
    if protocol == "paper":
        torch.testing.assert_close(normalised, store.read(np.arange(40), normalise=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_negatives_have_the_first_picture_of_the_other_identity_or_any(protocol):
    names = [f"p{k // 5}" for k in range(50)]
    manifest = Manifest(pd.DataFrame({"path": [f"{k}.png" for k in range(50)], "identity": names, "dataset": "d"}))
    pairs = identity_pairs(manifest, protocol=protocol)
    seconds = set((pairs.second[~pairs.same] % 5).tolist())
    assert seconds == ({0} if protocol == "paper" else {0, 1, 2, 3, 4})
    identity = np.array(names)
    assert (identity[pairs.first[~pairs.same]] != identity[pairs.second[~pairs.same]]).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unsupervised_mode(orl, tmp_path, protocol):
    """In the official code the switch has no effect."""
    from lcmem.training.run import pair_sampler

    stage = SMALL.stage1.model_copy(update={"positives": "augmentation"})
    recipe = SMALL.model_copy(update={"protocol": protocol, "stage1": stage})
    first, second, _ = pair_sampler(recipe, stage, orl).batch(0)
    assert (first == second).all() == (protocol == "fixed")
