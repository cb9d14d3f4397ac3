"""The two stages (paper, section 3.1): clean latents first, edited pictures through the frozen encoder second."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from lcmem.augment import Augmentation, warp
from lcmem.cache import cached_pictures
from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import LatentEncoder, load_encoder
from lcmem.latents import LatentStore, build_store, encode_pictures
from lcmem.loading import to_float
from lcmem.manifest import Manifest
from lcmem.metrics import auc
from lcmem.model import SiameseNetwork, combined_loss, normalise_samples, pair_logits
from lcmem.pairs import Pairs, copy_pairs, identity_pairs, split_by_dataset
from lcmem.training.provenance import training_data
from lcmem.training.recipe import COMPACT_NETWORK, StageRecipe
from lcmem.training.sampler import PairSampler

MAX_VALIDATION_PAIRS, MAX_VALIDATION_COPIES = 2000, 600
"""Positive pairs of each dataset, and edited copies in all, that an epoch is judged by."""

Batch = tuple[Tensor, Tensor, Tensor]
ValidationList = tuple[Tensor, Tensor, Pairs, Manifest]
"""Latents of the first and of the second pictures, the pairs between them, and whose they are."""


class LatentPairs(IterableDataset[Batch]):
    """Stage 1: batches of latents ``[pairs, C, h, w]`` twice and identities ``[pairs]``; mirror images at random."""

    def __init__(self, store: LatentStore, sampler: PairSampler, start: int, count: int) -> None:
        self.store, self.sampler, self.start, self.count = store, sampler, start, count

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self.start, self.start + self.count):
            first, second, identity = self.sampler.batch(number)
            view = np.random.default_rng((self.sampler.seed, number, 1)).integers(2, size=(2, len(first)))
            yield (
                self.store.read(first, view[0]),
                self.store.read(second, view[1]),
                torch.from_numpy(identity),
            )


class PicturePairs(IterableDataset[Batch]):
    """Stage 2: batches of latents ``[pairs, C, h, w]``, uint8 pictures ``[pairs, 3, H, W]`` and identities.

    The first picture of a pair stands for one of the real set: it is clean, and its latent is in the store. The second
    may be edited and goes through the encoder.
    """

    def __init__(
        self,
        store: LatentStore,
        pictures: np.ndarray,
        sampler: PairSampler,
        recipe: StageRecipe,
        start: int,
        count: int,
    ) -> None:
        self.store, self.pictures, self.sampler, self.recipe = store, pictures, sampler, recipe
        self.start, self.count = start, count
        self.augmentation = Augmentation()

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self.start, self.start + self.count):
            first, second, identity = self.sampler.batch(number)
            generator = torch.Generator().manual_seed(hash((self.sampler.seed, number)) % 2**62)
            copy = torch.rand(len(first), generator=generator) < self.recipe.copies
            copy |= torch.from_numpy(first == second)
            edited = copy | (torch.rand(len(first), generator=generator) < self.recipe.edited)
            second = np.where(copy.numpy(), first, second)
            levels = torch.from_numpy(self.pictures[second])
            changed = self.augmentation(levels[edited].float() / 255, generator)
            levels[edited] = (changed * 255).round().to(torch.uint8)
            yield self.store.read(first), levels, torch.from_numpy(identity)


def warp_latents(latents: Tensor, strength: float) -> Tensor:
    """Rotate by up to 10°·strength, zoom by up to 20 %·strength, shift by up to 5 %·strength; ``[B, C, h, w]``."""
    draw = 2 * torch.rand(4, len(latents), device=latents.device) - 1
    angle, scale = draw[0] * strength * torch.pi / 18, 1 + 0.2 * strength * draw[1]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    shift = 0.1 * strength * draw[2:]
    matrix = torch.stack((torch.stack((cos, -sin, shift[0]), 1), torch.stack((sin, cos, shift[1]), 1)), 1)
    return warp(latents, matrix)


class StageTraining(L.LightningModule):
    """Lightning's view of either stage."""

    def __init__(self, network: SiameseNetwork, recipe: StageRecipe, encoder: LatentEncoder | None) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        self.frozen = [encoder] if encoder else []  # in a list: not a sub-module, so not in the checkpoint
        self.validation: dict[str, ValidationList] = {}

    def forward(self, latents: Tensor) -> Tensor:
        """Latents to features, with the recipe's perturbations of latents."""
        normalised = self.network.normalise(latents)
        if torch.rand(()) < self.recipe.samplewise:
            normalised = normalise_samples(normalised)
        if self.recipe.latent_warp:
            normalised = warp_latents(normalised, self.recipe.latent_warp)
        if self.recipe.latent_noise:
            strength = self.recipe.latent_noise * torch.rand(len(latents), 1, 1, 1, device=latents.device)
            normalised = normalised + strength * torch.randn_like(normalised)
        return self.network.embed(normalised).float()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The combined loss on one batch of pairs."""
        first, second, identity = batch
        if self.frozen:
            second = encode_pictures(second, self.frozen[0], self.device)
        u, v = self(torch.cat((first, second))).chunk(2)
        with torch.autocast(self.device.type, enabled=False):
            logits = self.network.head.all_pairs(u, v)
            loss, bce, contrast = combined_loss(
                u, v, logits, identity, bce_weight=self.recipe.bce_weight, temperature=self.recipe.temperature
            )
        self.log_dict({"loss": loss, "bce": bce, "nt_xent": contrast}, prog_bar=True)
        return loss

    def on_validation_epoch_end(self) -> None:
        """AUC of the fixed pair lists, macro-averaged over datasets; ``val_score`` is what the stage improves."""
        means = []
        head = self.network.head
        for kind, (first, second, pairs, manifest) in self.validation.items():
            u, v = self._features(first), self._features(second)
            values = {}
            for name, at in split_by_dataset(manifest, pairs):
                logits = pair_logits(u[pairs.first[at]], v[pairs.second[at]], head.weight, head.bias)
                values[f"val_{kind}/{name}"] = auc(logits.cpu().numpy(), pairs.same[at])
            self.log_dict(values)
            means.append(float(np.mean(list(values.values()))))
            self.log(f"val_{kind}", means[-1], prog_bar=True)
        self.log("val_score", float(np.mean(means)))

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Lightning wants one; the lists are scored as a whole in :meth:`on_validation_epoch_end`."""

    def _features(self, latents: Tensor) -> Tensor:
        parts = [self.network(part.float().to(self.device)) for part in latents.split(128)]
        return torch.cat(parts).float()

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """AdamW; warm-up, then a cosine that really falls (the official one has ``eta_min = lr``)."""
        recipe = self.recipe
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
        total = recipe.epochs * recipe.steps_per_epoch
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=total, pct_start=0.03, div_factor=25, cycle_momentum=False
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Data(L.LightningDataModule):
    """Makes each epoch's batches anew from their numbers, so that a resumed epoch sees what it would have seen."""

    def __init__(self, dataset: Any, recipe: StageRecipe, workers: int) -> None:
        super().__init__()
        self.dataset, self.recipe, self.workers = dataset, recipe, workers

    def train_dataloader(self) -> DataLoader[Batch]:
        assert self.trainer is not None
        start = self.trainer.current_epoch * self.recipe.steps_per_epoch
        dataset = self.dataset(start, self.recipe.steps_per_epoch)
        return DataLoader(
            dataset, batch_size=None, num_workers=self.workers, prefetch_factor=2 if self.workers else None
        )

    def val_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.zeros(1, 1))  # type: ignore[arg-type]


def train_stage(
    stage: int,
    manifest: Manifest,
    out: str | os.PathLike[str],
    recipe: StageRecipe,
    *,
    encoder: str = "compact-autoencoder",
    start_from: str | os.PathLike[str] | None = None,
    head: str = "metric",
    size: int = 256,
    precision: str = "bf16-mixed",
) -> Path:
    """Train one stage on the manifest's train split; the best epoch on the val split is kept. Running again resumes.

    Args:
        stage: 1 or 2.
        manifest: Pictures with splits, and identities where they are known.
        out: The run's folder.
        recipe: All settings.
        encoder: What ``load_encoder`` takes.
        start_from: A detector to start from (stage 2); None starts from random weights.
        head: ``metric`` or ``linear``, where there is nothing to start from.
        size: Side in pixels that pictures are squeezed into.
        precision: Lightning's name of the arithmetic.

    Returns:
        The checkpoint's folder, ``out/stage1`` or ``out/stage2``.
    """
    folder = Path(out)
    manifest.check_disjoint()
    L.seed_everything(recipe.seed, workers=True)
    frozen = load_encoder(encoder)
    store = build_store(manifest.select(split="train"), frozen, size, folder / "cache" / "train", mirror=True)
    held_out = build_store(manifest.select(split="val"), frozen, size, folder / "cache" / "val")
    network, history = _start(start_from, store, head)
    module = StageTraining(network, recipe, frozen if stage == 2 else None)
    clean = held_out.read(np.arange(len(held_out)))
    pairs = identity_pairs(held_out.manifest, max_positives=MAX_VALIDATION_PAIRS)
    module.validation["reid"] = (clean, clean, pairs, held_out.manifest)
    sampler = PairSampler(store.manifest, recipe.pairs, recipe.chunk, recipe.seed)
    if stage == 1:
        data = _Data(lambda start, count: LatentPairs(store, sampler, start, count), recipe, workers=0)
    else:
        pictures, _, _ = cached_pictures(manifest.select(split="train"), size, folder / "cache")
        module.validation["copy"] = _edited_validation(manifest, held_out, frozen, size, folder)
        data = _Data(
            lambda start, count: PicturePairs(store, pictures, sampler, recipe, start, count), recipe, workers=1
        )
    best = _fit(module, data, folder, stage, precision)
    record = {"stage": stage, "recipe": recipe.to_dict(), **best}
    detector = LCMem(network, frozen, size, name=f"stage{stage}", training=[*history, record])
    detector.card["training_data"] = training_data(store.manifest)
    return detector.save(folder / f"stage{stage}")


def _start(
    start_from: str | os.PathLike[str] | None, store: LatentStore, head: str
) -> tuple[SiameseNetwork, list[dict[str, Any]]]:
    """The network to train and the record of its earlier stages."""
    if start_from is not None:
        detector = LCMem.load(start_from)
        return detector.network.train().requires_grad_(True), detector.card["training"]
    network = SiameseNetwork(replace(COMPACT_NETWORK, channels=store.card.shape[0], head=head))
    statistics = store.statistics()
    network.mean.copy_(torch.from_numpy(statistics.mean))
    network.std.copy_(torch.from_numpy(statistics.std))
    return network, []


def _fit(module: StageTraining, data: "_Data", folder: Path, stage: int, precision: str) -> dict[str, Any]:
    """Train, and leave the best epoch's weights in the module; says which epoch that was and how good."""
    recipe, resume = module.recipe, folder / f"resume{stage}"
    best = ModelCheckpoint(resume, "best", monitor="val_score", mode="max", enable_version_counter=False)
    # a callback of its own: save_last=True would write only when the best epoch is written
    latest = ModelCheckpoint(resume, "last", monitor=None, every_n_epochs=1, enable_version_counter=False)
    trainer = L.Trainer(
        max_epochs=recipe.epochs,
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=1.0,
        callbacks=[best, latest, EarlyStopping("val_score", mode="max", patience=recipe.patience)],
        logger=CSVLogger(folder, f"logs{stage}", version=0),
        log_every_n_steps=10,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )
    last = resume / "last.ckpt"
    trainer.fit(module, datamodule=data, ckpt_path=last if last.is_file() else None, weights_only=True)
    state = torch.load(best.best_model_path, weights_only=True)
    module.load_state_dict(state["state_dict"])
    score = None if best.best_model_score is None else float(best.best_model_score)
    return {"epochs": trainer.current_epoch, "best_epoch": int(state["epoch"]), "val_score": score}


def _edited_validation(
    manifest: Manifest, held_out: LatentStore, encoder: LatentEncoder, size: int, folder: Path
) -> ValidationList:
    """Latents of some validation pictures and of one edited copy of each, and the pairs between them."""
    pictures, _, _ = cached_pictures(manifest.select(split="val"), size, folder / "cache")
    chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:MAX_VALIDATION_COPIES])
    generator = torch.Generator().manual_seed(0)
    parts = []
    for start in range(0, len(chosen), 64):
        edited = Augmentation()(to_float(torch.from_numpy(pictures[chosen[start : start + 64]])), generator)
        parts.append(encode_pictures((edited * 255).round().to(torch.uint8), encoder))
    part = held_out.manifest.rows(chosen)
    pairs = copy_pairs(len(part), part.table["dataset"].to_numpy())
    return held_out.read(chosen), torch.cat(parts), pairs, part
