"""A run: a recipe and pictures become a detector, in a folder that remembers everything."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import lightning as L
import numpy as np
import torch
from torch import nn

from lcmem.checkpoints import is_saved
from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import KIND, LCMem
from lcmem.encoders import LatentEncoder, load_encoder
from lcmem.latents import LatentStore, build_store
from lcmem.latents.store import KIND as LATENTS
from lcmem.locks import alone_in, follows
from lcmem.model import SiameseNetwork
from lcmem.pictures.manifest import Manifest
from lcmem.store import is_store
from lcmem.store.index import SKIPPED
from lcmem.training.callbacks import plot_curves
from lcmem.training.fit import RunOptions, fit
from lcmem.training.head import LabelledPairs, fit_head, labelled_pairs
from lcmem.training.module import StageTraining
from lcmem.training.pretrained import pretrained_weights
from lcmem.training.recipe import Recipe
from lcmem.training.record import USED, check_splits, claim, claim_contents, origins, training_data, warn_of_skipped
from lcmem.training.sampler import PairSampler
from lcmem.training.stage import Stage
from lcmem.training.start import check_network, load_start, start_network
from lcmem.training.teachers import Lesson, lessons_of, load_teachers
from lcmem.training.validation import ValidationList, copy_list, edited_pairs, reid_list, reid_pairs


def train(
    recipe: Recipe, data: Manifest | LatentStore, out: str | os.PathLike[str], options: RunOptions | None = None
) -> Path:
    """Train a detector. Running it again with the same folder goes on where it stopped.

    Args:
        recipe: All settings.
        data: Pictures with the splits ``train`` and ``val``, and identities where they are known; or their latents.
            Pictures without any split are divided by :meth:`~lcmem.pictures.manifest.Manifest.with_splits`.
        out: The run's folder: the recipe, the manifest, each stage's detector, logs, learning curves.
        options: Where and how it runs; the result does not depend on them, up to rounding.

    Returns:
        The folder of the last stage's detector.

    Raises:
        LCMemError: An identity in two splits, a missing split, fewer than three identities, validation pictures of
            which no pairs can be made, latents of another encoder or size, a network with batch norm on several
            devices that are not CUDA, or a folder with a run of another recipe, of other pictures, or of a process that
            is still at work.
    """
    folder, options = Path(out), options or RunOptions()
    manifest = check_splits(data) if isinstance(data, Manifest) else check_splits(data.manifest, divide=False)
    encoder = load_encoder(
        recipe.encoder,
        device=options.device,
        input_range=recipe.encoder_range,
        latents=recipe.latents,
        allow_download=options.allow_download,
    )
    _check(recipe, manifest, encoder, options.allow_download)
    teachers = load_teachers(recipe, manifest.select(split="train"), options.device, options.allow_download)
    with alone_in(folder):
        claim(folder, recipe, manifest)
        store = _latents(data, manifest, recipe, encoder, folder / "latents", options)
        claim_contents(folder, store.manifest, store.keys)
        warn_of_skipped(store.skipped, store.folder / SKIPPED)
        L.seed_everything(recipe.seed, workers=True, verbose=False)
        run = _Run(recipe, store, encoder, teachers, folder, options)
        for number, stage in enumerate(recipe.stages, 1):
            if not is_saved(run.detector(number), KIND):
                run.train_stage(number, stage)
        return run.detector(len(recipe.stages))


def read_training_data(source: Path, read: Callable[[Path], Manifest] = Manifest.read) -> Manifest | LatentStore:
    """What is trained on: the folder of a LatentStore, or what ``read`` makes of other pictures."""
    return LatentStore.open(source) if is_store(source, LATENTS) else read(source)


def _check(recipe: Recipe, manifest: Manifest, encoder: LatentEncoder, allow_download: bool) -> None:
    """What is wrong is said before anything is written or encoded."""
    held_out = manifest.select(split="val")
    for stage in recipe.stages:
        PairSampler(manifest.select(split="train"), stage, recipe.seed, recipe.domains)
        if held_out.labelled:
            reid_pairs(held_out, recipe.pair_protocol)
        if _judged_by_copies(stage, held_out):
            edited_pairs(held_out)
    check_network(recipe, encoder)
    if recipe.start_from:
        load_start(recipe.start_from, recipe, encoder)
    if recipe.network.pretrained:
        pretrained_weights(recipe.network.pretrained, recipe.network.settings(encoder.card.channels), allow_download)


def _judged_by_copies(stage: Stage, held_out: Manifest) -> bool:
    """Whether a stage learns edited copies, or nothing else can judge it."""
    return stage.edits_pictures or not held_out.labelled


def _latents(
    data: Manifest | LatentStore,
    manifest: Manifest,
    recipe: Recipe,
    encoder: LatentEncoder,
    folder: Path,
    options: RunOptions,
) -> LatentStore:
    mirror = any(stage.mirror for stage in recipe.stages)
    if isinstance(data, LatentStore):
        data.check(encoder.card, recipe.size, mirror=mirror)
        return data
    if follows():
        return LatentStore.open(folder)  # encoded before the first process started the others
    used = manifest.rows(manifest.table.index[manifest.table["split"].isin(USED)])
    return build_store(used, encoder, recipe.size, folder, mirror=mirror, device=options.device)


@dataclass(frozen=True)
class _Run:
    """What the stages of a run share."""

    recipe: Recipe
    store: LatentStore
    encoder: LatentEncoder
    teachers: dict[str, Detector]
    folder: Path
    options: RunOptions

    def detector(self, number: int) -> Path:
        """The folder of a stage's detector."""
        return self.folder / f"stage{number}"

    def train_stage(self, number: int, stage: Stage) -> None:
        """Train a stage, and save its detector."""
        part = self.store.select(split="train")
        earlier = self.detector(number - 1) if number > 1 else None
        network, history = start_network(earlier, self.recipe, self.encoder, part, self.options.allow_download)
        lessons = self._lessons(part, network if not history else None)
        module = StageTraining(network, self.recipe, stage, self.encoder, part, self._validation(stage), lessons)
        sampler = PairSampler(part.manifest, stage, self.recipe.seed, self.recipe.domains)
        record = {"stage": number, "recipe": stage.to_dict()} | origins(self.recipe, new=not history)
        record |= fit(module, part, sampler, number, self.folder, self.options)
        record |= self._fit_head(module)
        detector = LCMem(
            module.result, self.encoder, self.recipe.size, name=f"stage{number}", training=[*history, record]
        )
        detector.card["training_data"] = training_data(part.manifest)
        if not follows():
            detector.save(self.detector(number))
            plot_curves(self.folder)
        if torch.distributed.is_initialized():  # the others wait for the detector that the next stage starts from
            torch.distributed.barrier()

    def _fit_head(self, module: StageTraining) -> dict[str, float]:
        """By the identities of ``val``; by edited copies in its datasets without any. The loss that was reached."""
        if not self.recipe.head_shares:
            return {}
        network, held_out = module.result.eval(), self.store.select(split="val")  # batch norm would follow val
        fitted: dict[str, LabelledPairs] = {}
        if "reid" in module.validation:
            fitted |= labelled_pairs(network, module.validation["reid"])
        rest = np.flatnonzero(~held_out.manifest.table["dataset"].isin([*fitted]))
        if len(rest):
            fitted |= labelled_pairs(network, copy_list(held_out.rows(rest), self.encoder))
        return {"head_loss": fit_head(network, list(fitted.values()), shares=self.recipe.head_shares)}

    def _lessons(self, train: LatentStore, new: SiameseNetwork | None) -> nn.ModuleDict:
        """What teachers add to the loss; a new network begins with what a teacher of the same weights says."""
        folder = self.options.teachers or self.folder / "teachers"
        lessons = lessons_of(self.recipe, self.teachers, train, folder, fresh=not follows())
        for name, teacher in self.recipe.teachers.items():
            if new is not None and teacher.detector == self.recipe.network.pretrained:
                cast(Lesson, lessons[name]).begin(new)
        return lessons

    def _validation(self, stage: Stage) -> dict[str, ValidationList]:
        """The lists that judge a stage, by their kind."""
        held_out = self.store.select(split="val")
        lists = {}
        if held_out.manifest.labelled:
            lists["reid"] = reid_list(held_out, self.recipe.pair_protocol)
        if _judged_by_copies(stage, held_out.manifest):
            lists["copy"] = copy_list(held_out, self.encoder)
        return lists
