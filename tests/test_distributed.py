"""Claim: two processes that share a batch get the gradients that one process gets from the whole batch."""

import lightning as L
import numpy as np
import pytest
import torch

from lcmem.encoders import load_encoder
from lcmem.latents import build_store
from lcmem.pictures.manifest import Manifest
from lcmem.training.fit import PairData
from lcmem.training.module import StageTraining
from lcmem.training.presets import load_recipe
from lcmem.training.sampler import PairSampler
from lcmem.training.start import start_network

SMALL = load_recipe("small")
# nothing random within a step: two processes draw other numbers than one
SETTINGS = ["size=128", "network.options.drop_path_rate=0.0", "precision=32-true", "stage1.batch_size=12"]
SETTINGS += ["stage1.steps_per_epoch=1", "stage1.epochs=1", "stage1.samplewise=0", "stage1.latent.degrees=0"]
SETTINGS += ["stage1.latent.zoom=0", "stage1.latent.shift=0", "stage1.latent.noise_sigma=0"]


class KeepGradients(L.Callback):
    """Writes the gradients as the optimiser sees them, and the loss of each process."""

    def __init__(self, target):
        self.target = target

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        gradients = {name: part.grad for name, part in pl_module.network.named_parameters()}
        torch.save(gradients, self.target / f"{trainer.world_size}-{trainer.global_rank}.pt")


@pytest.fixture(scope="module")
def store(orl, tmp_path_factory):
    manifest = Manifest(orl.rows(range(60)).table.assign(split="train"))
    return build_store(manifest, load_encoder(), 128, tmp_path_factory.mktemp("store"), mirror=True)


@pytest.mark.parametrize("head", ["metric", "linear"])
def test_two_gloo_processes_have_the_gradients_of_the_joined_batch(store, tmp_path, head):
    recipe = SMALL.with_settings([*SETTINGS, f"network.head={head}"])
    for devices, strategy in ((1, "auto"), (2, "ddp_fork")):
        torch.manual_seed(0)
        encoder = load_encoder()
        network, _ = start_network(None, recipe, encoder, store)
        module = StageTraining(network, recipe, recipe.stage1, encoder, store, {})
        sampler = PairSampler(store.manifest, recipe.stage1, 0)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=devices,
            strategy=strategy,
            max_steps=1,
            limit_train_batches=1,
            limit_val_batches=0,
            use_distributed_sampler=False,
            callbacks=[KeepGradients(tmp_path)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=PairData(store, sampler, module, workers=0))
    whole, left, right = (torch.load(tmp_path / name) for name in ("1-0.pt", "2-0.pt", "2-1.pt"))
    assert any(part.abs().max() > 1e-4 for part in whole.values())
    for name, expected in whole.items():
        scale = float(expected.abs().max())
        np.testing.assert_allclose(left[name], expected, atol=1e-4 * scale + 1e-7, err_msg=name)
        assert torch.equal(left[name], right[name]), "averaged over both"
