"""Training of the compact autoencoder: reconstruction plus gradient loss, mild latent regularisation."""

import logging
import os
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from lcmem.checkpoints import CARD
from lcmem.devices import usable_device
from lcmem.encoders import CompactAutoencoder, save_compact
from lcmem.encoders.base import psnr
from lcmem.errors import LCMemError
from lcmem.locks import alone_in
from lcmem.pictures.loading import to_float
from lcmem.pictures.manifest import Manifest
from lcmem.store import StoredRows
from lcmem.store.pictures import decode_pictures
from lcmem.training.fit import RunOptions, fit_resumable
from lcmem.training.recipe import AutoencoderRecipe
from lcmem.training.record import USED, claim, training_data, warn_of_skipped
from lcmem.training.start import precision_for

LOG = logging.getLogger(__name__)
NAME = "autoencoder"
"""Folder of the checkpoint in that of the run."""


class RandomCrops(Dataset[Tensor]):
    """Random crops, flipped at random, of decoded pictures: ``[3, crop, crop]`` uint8."""

    def __init__(self, pictures: np.ndarray | StoredRows, crop: int) -> None:
        self.pictures, self.crop = pictures, crop

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        top, left = torch.randint(self.pictures.shape[-1] - self.crop + 1, (2,)).tolist()
        crop = torch.from_numpy(self.pictures[index][:, top : top + self.crop, left : left + self.crop].copy())
        return crop.flip(-1) if torch.rand(()) < 0.5 else crop


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
        noisy = latents + self.recipe.latent_noise * torch.randn_like(latents)
        reconstruction = self.autoencoder.reconstruct(noisy).float()
        loss = (
            F.l1_loss(reconstruction, pictures)
            + 5 * F.mse_loss(reconstruction, pictures)
            + self.recipe.gradient_weight * gradient_loss(reconstruction, pictures)
            + self.recipe.latent_weight * latent_penalty(latents.float())
        )
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
        manifest: The pictures.
        out: The run's folder.
        recipe: All settings.
        options: Where it runs.

    Returns:
        The checkpoint's folder, ``out/autoencoder``.

    Raises:
        LCMemError: An identity in two splits, a missing split, several devices, or a folder with a run of another
            recipe, of other pictures, or of a process that is still at work.
    """
    folder, options = Path(out), options or RunOptions()
    if options.devices > 1:
        raise LCMemError("an autoencoder is trained on one device; take --devices 1")
    usable_device(options.device)
    manifest.check_disjoint()
    for split in USED:
        manifest.select(split=split)
    with alone_in(folder):
        claim(folder, recipe, manifest)
        if not (folder / NAME / CARD).is_file():
            _train(manifest, folder, recipe, options)
    return folder / NAME


def _train(manifest: Manifest, folder: Path, recipe: AutoencoderRecipe, options: RunOptions) -> None:
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    found, held_out = (decode_pictures(manifest.select(split=split), recipe.size, folder / "cache") for split in USED)
    kept, skipped = found.manifest, [reason for part in (found, held_out) for _, reason in part.skipped]
    warn_of_skipped(skipped, folder / NAME / CARD)
    sampler = WeightedRandomSampler(
        balanced_weights(kept.table["dataset"]).tolist(), recipe.steps * recipe.batch_size, replacement=True
    )
    loader = DataLoader(RandomCrops(found.pixels, recipe.crop), recipe.batch_size, sampler=sampler, drop_last=True)
    subset = np.random.default_rng(0).permutation(len(held_out.pixels))[:256]
    validation: DataLoader[Tensor] = DataLoader(
        torch.from_numpy(held_out.pixels[np.sort(subset)]),  # type: ignore[arg-type]
        recipe.batch_size,
    )
    precision = precision_for(recipe.precision, options.device)
    LOG.info("autoencoder: precision %s on %s", precision, options.device)
    module = AutoencoderTraining(recipe)
    trainer = fit_resumable(
        module,
        loader,
        folder / "resume" / "latest.ckpt",
        options,
        validation=validation,
        max_steps=recipe.steps,
        val_check_interval=max(1, min(500, recipe.steps // 5)),
        precision=precision,
        logger=CSVLogger(folder, "logs", version=0),
        log_every_n_steps=20,
    )
    scores = trainer.validate(module, validation, verbose=False)[0]
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
