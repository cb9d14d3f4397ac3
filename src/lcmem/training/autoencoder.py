"""Training of the compact autoencoder: reconstruction plus gradient loss, mild latent regularisation."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lcmem.checkpoints import CARD, is_saved
from lcmem.devices import usable_device
from lcmem.encoders import CompactAutoencoder, save_compact
from lcmem.encoders.base import psnr
from lcmem.errors import LCMemError
from lcmem.locks import alone_in
from lcmem.pictures.loading import to_float
from lcmem.pictures.manifest import Manifest
from lcmem.store import StoredRows
from lcmem.store.pictures import Decoded, decode_pictures
from lcmem.training.fit import RunOptions, fit_resumable
from lcmem.training.module import check_loss
from lcmem.training.recipe import AutoencoderRecipe
from lcmem.training.record import USED, check_splits, claim, claim_contents, training_data, warn_of_skipped
from lcmem.training.start import precision_for

LOG = logging.getLogger(__name__)
NAME = "autoencoder"
"""Folder of the checkpoint in that of the run."""


class RandomCrops(IterableDataset[Tensor]):
    """Batches of random crops, flipped at random, of decoded pictures, by their number: ``[B, 3, crop, crop]`` uint8.

    Args:
        pictures: ``[N, 3, size, size]`` uint8.
        weights: How often each is drawn, ``[N]``.
        recipe: Its crop, batch size and seed.
        numbers: Of the batches.
    """

    def __init__(
        self, pictures: np.ndarray | StoredRows, weights: np.ndarray, recipe: AutoencoderRecipe, numbers: range
    ) -> None:
        self.pictures, self.shares, self.recipe, self.numbers = pictures, weights / weights.sum(), recipe, numbers

    def __iter__(self) -> Iterator[Tensor]:
        for number in self.numbers:
            yield self.batch(number)

    def batch(self, number: int) -> Tensor:
        """One batch."""
        rng, crop = np.random.default_rng((self.recipe.seed, number)), self.recipe.crop
        crops = []
        for index in rng.choice(len(self.shares), self.recipe.batch_size, p=self.shares):
            top, left = rng.integers(self.pictures.shape[-1] - crop + 1, size=2)
            cut = self.pictures[int(index)][:, top : top + crop, left : left + crop]
            crops.append(cut[..., ::-1] if rng.random() < 0.5 else cut)
        return torch.from_numpy(np.stack(crops))


class _Data(L.LightningDataModule):
    """What is left of the training: all of it is one epoch, as Lightning resumes exactly only within one."""

    def __init__(self, found: Decoded, held_out: np.ndarray, module: "AutoencoderTraining") -> None:
        super().__init__()
        self.found, self.held_out, self.module = found, held_out, module

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Batches by their number, from the trainer's step on."""
        recipe, weights = self.module.recipe, balanced_weights(self.found.manifest.table["dataset"])
        numbers = range(self.module.trainer.global_step, recipe.steps)
        return DataLoader(RandomCrops(self.found.pixels, weights, recipe, numbers), batch_size=None)

    def val_dataloader(self) -> DataLoader[Tensor]:
        """The same pictures each time."""
        return DataLoader(torch.from_numpy(self.held_out), self.module.recipe.batch_size)  # type: ignore[arg-type]


def gradient_loss(reconstruction: Tensor, pictures: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and vertical finite differences; both ``[B, 3, H, W]``."""
    error = reconstruction - pictures
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def latent_penalty(latents: Tensor) -> Tensor:
    """How far the channels of ``[B, C, h, w]`` are from mean 0 and standard deviation 1, squared."""
    return latents.mean((0, 2, 3)).square().mean() + (latents.std((0, 2, 3)) - 1).square().mean()


class AutoencoderTraining(L.LightningModule):
    """Lightning's view of the training; the loss is written out in :meth:`training_step`."""

    def __init__(self, recipe: AutoencoderRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.autoencoder = CompactAutoencoder().to(memory_format=torch.channels_last)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        """L1 + squared error + gradient loss + latent penalty on a batch of uint8 crops."""
        pictures = to_float(batch)
        latents = self.autoencoder.encode(pictures)
        rng = torch.Generator().manual_seed(self.recipe.seed + self.global_step)
        noise = torch.randn(latents.shape, generator=rng).to(latents)  # by the step's number, as its batch
        noisy = latents + self.recipe.latent_noise * noise
        reconstruction = self.autoencoder.reconstruct(noisy).float()
        loss = (
            F.l1_loss(reconstruction, pictures)
            + 5 * F.mse_loss(reconstruction, pictures)
            + self.recipe.gradient_weight * gradient_loss(reconstruction, pictures)
            + self.recipe.latent_weight * latent_penalty(latents.float())
        )
        check_loss(loss, self.global_step)
        self.log("loss", loss, prog_bar=True)
        self.log("psnr", psnr(reconstruction.detach().clamp(0, 1), pictures).mean(), prog_bar=True)
        return loss

    def validation_step(self, batch: Tensor, index: int) -> None:
        """PSNR of the deterministic round trip."""
        pictures = to_float(batch)
        self.log("val_psnr", psnr(self.autoencoder.round_trip(pictures), pictures).mean())

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """AdamW with a one-cycle rate."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.recipe.lr, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.recipe.lr, total_steps=self.recipe.steps, pct_start=0.05
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def balanced_weights(datasets: pd.Series) -> np.ndarray:
    """Sampling weights by which a dataset is drawn in proportion to the square root of its size."""
    return datasets.map(1 / np.sqrt(datasets.value_counts())).to_numpy()


def train_autoencoder(
    manifest: Manifest, out: str | os.PathLike[str], recipe: AutoencoderRecipe, options: RunOptions | None = None
) -> Path:
    """Train on the manifest's train split, validate on its val split; running it again resumes.

    Args:
        manifest: The pictures; the identities of one without any split are divided.
        out: The run's folder.
        recipe: All settings.
        options: Where it runs.

    Returns:
        The checkpoint's folder, ``out/autoencoder``.

    Raises:
        LCMemError: The loss is not finite, an identity in two splits, a missing split, several devices, or a folder
            with a run of another recipe, of other pictures, or of a process that is still at work.
    """
    folder, options = Path(out), options or RunOptions()
    if options.devices > 1:
        raise LCMemError("an autoencoder is trained on one device; take --devices 1")
    usable_device(options.device)
    manifest = check_splits(manifest)
    with alone_in(folder):
        claim(folder, recipe, manifest)
        if not is_saved(folder / NAME, "autoencoder"):
            _train(manifest, folder, recipe, options)
    return folder / NAME


def _train(manifest: Manifest, folder: Path, recipe: AutoencoderRecipe, options: RunOptions) -> None:
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    found, held_out = (decode_pictures(manifest.select(split=split), recipe.size, folder / "cache") for split in USED)
    kept, skipped = found.manifest, [reason for part in (found, held_out) for _, reason in part.skipped]
    warn_of_skipped(skipped, folder / NAME / CARD)
    for name, part in zip(USED, (found, held_out), strict=True):
        if not len(part.keys):
            raise LCMemError(f"no picture of the split {name} can be read: {part.skipped[0][1]}")
    every = pd.concat([part.manifest.table for part in (found, held_out)], ignore_index=True)
    claim_contents(folder, Manifest(every), np.array([*found.keys, *held_out.keys], dtype=object))
    subset = np.random.default_rng(0).permutation(len(held_out.pixels))[:256]
    precision = precision_for(recipe.precision, options.device)
    LOG.info("autoencoder: precision %s on %s", precision, options.device)
    module = AutoencoderTraining(recipe)
    data = _Data(found, held_out.pixels[np.sort(subset)], module)
    trainer = fit_resumable(
        module,
        data,
        folder / "resume" / "latest.ckpt",
        folder / "logs",
        options,
        precision=precision,
        max_epochs=1,
        max_steps=recipe.steps,
        limit_train_batches=recipe.steps,
        val_check_interval=max(1, min(500, recipe.steps // 5)),
        log_every_n_steps=min(20, recipe.steps),
    )
    scores = trainer.validate(module, data, verbose=False)[0]
    card: dict[str, object] = {
        "name": "compact-autoencoder",
        "licence": "Apache-2.0; see also the terms of the training data",
        "recipe": recipe.to_dict(),
        "precision": precision,
        "training_data": training_data(kept),
        "skipped": skipped,
        "metrics": {"val_psnr": scores["val_psnr"]},
    }
    save_compact(folder / NAME, module.autoencoder, card)
