"""Claim: the paper's preset trains; a thin network, on a stand-in for ``sd-vae``, learns 64 pictures by heart."""

import pytest
import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.pairs import identity_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.stats.roc import auc
from lcmem.training.callbacks import read_metrics
from lcmem.training.presets import load_recipe
from lcmem.training.run import train

PAPER = load_recipe("paper")


@pytest.fixture(scope="module")
def sixty_four(orl):
    """16 people × 4 pictures to learn by heart, and a few others for the validation."""
    kept = [k for k in range(len(orl)) if k % 10 < 4][:72]
    return Manifest(orl.rows(kept).table.assign(split=["train"] * 64 + ["val"] * 8))


def test_overfits_64_pictures(sixty_four, vae, tmp_path):
    thin = {"depths": [1, 1, 2, 1], "dims": [48, 96, 192, 384]}  # test_recipes builds the full one
    settings = [f"network.options.{name}={value}" for name, value in thin.items()]
    settings += [f"encoder={vae}", "network.pretrained=''", "size=256", "stage1.epochs=1", "stage1.steps_per_epoch=45"]
    settings += ["stage1.batch_size=16", "stage2.epochs=1", "stage2.steps_per_epoch=2", "stage2.batch_size=8"]
    train(PAPER.with_settings(settings), sixty_four, tmp_path)
    losses = read_metrics(tmp_path / "logs" / "stage1")[["bce", "nt_xent"]].dropna()
    assert losses["nt_xent"].iloc[-1] < 0.05, "of ln 31 by chance"
    assert losses["bce"].iloc[-1] < 0.8 * losses["bce"].iloc[0], "a linear head, from random weights, is slower"
    detector = LCMem.load(tmp_path / "stage1")
    assert detector.network.settings.backbone == "convnext_tiny"
    train_part = sixty_four.select(split="train")
    pairs, u = identity_pairs(train_part), detector.features(train_part.paths)
    assert u.shape == (64, 512)
    assert auc(detector.logits(u[pairs.first], u[pairs.second]).numpy(), pairs.same) > 0.99
    second = LCMem.load(tmp_path / "stage2")
    assert torch.isfinite(second.features(train_part.paths[:2])).all()


def test_pretrained_weights_that_are_not_here(sixty_four, vae, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    recipe = PAPER.with_settings([f"encoder={vae}", "size=256"])
    with pytest.raises(LCMemError, match="to download them, say --download"):
        train(recipe, sixty_four, tmp_path / "a")
    with pytest.raises(LCMemError, match="no such file"):
        train(recipe.with_settings(["network.pretrained=none.safetensors"]), sixty_four, tmp_path / "b")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists(), "before anything is encoded"


def test_pretrained_weights_from_a_file(sixty_four, tmp_path, vae):
    import timm
    from safetensors.torch import save_file

    from lcmem.encoders import load_encoder
    from lcmem.latents import build_store
    from lcmem.training.start import start_network

    torch.manual_seed(1)
    original = timm.create_model("convnext_tiny")
    save_file(original.state_dict(), tmp_path / "tiny.safetensors")
    recipe = PAPER.with_settings([f"encoder={vae}", f"network.pretrained={tmp_path}/tiny.safetensors", "size=256"])
    encoder = load_encoder(vae)
    store = build_store(sixty_four.rows(range(8)), encoder, 256, tmp_path / "store")
    network, _ = start_network(None, recipe, encoder, store)
    kept = "stages.2.blocks.3.mlp.fc1.weight"
    assert torch.equal(network.backbone.state_dict()[kept], original.state_dict()[kept])
    assert network.backbone.stem[0].weight.shape[1] == 4
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(LCMemError, match=r"bad\.safetensors"):
        start_network(None, recipe.with_settings([f"network.pretrained={tmp_path}/bad.safetensors"]), encoder, store)
