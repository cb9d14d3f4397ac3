"""A run: a recipe and pictures become a detector, in a folder that remembers everything."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lcmem.checkpoints import CARD
from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import LatentEncoder, load_encoder
from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.latents import CARD as STORE
from lcmem.latents import LatentStore, build_store
from lcmem.pictures.listing import COLUMNS
from lcmem.pictures.manifest import Manifest
from lcmem.training.curves import plot_curves
from lcmem.training.fit import Options, fit
from lcmem.training.module import StageTraining
from lcmem.training.provenance import training_data
from lcmem.training.recipe import Recipe, Stage
from lcmem.training.sampler import PairSampler
from lcmem.training.start import load_start, start_network
from lcmem.training.validation import ValidationList, copy_list, edited_pairs, reid_list, reid_pairs

RECIPE, RECORD, MANIFEST = "recipe.toml", "run.json", "manifest.csv"
USED = ("train", "val")
"""A training never sees the other split."""


def train(
    recipe: Recipe, data: Manifest | LatentStore, out: str | os.PathLike[str], options: Options | None = None
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
            which no pairs can be made, latents of another encoder or size, or a folder with a run of another recipe or
            of other pictures.
    """
    folder, options = Path(out), options or Options()
    manifest = _with_splits(data)
    encoder = load_encoder(
        recipe.encoder,
        device=options.device,
        input_range=recipe.encoder_range,
        latents=recipe.latents,
        allow_download=options.allow_download,
    )
    for stage in recipe.stages:  # what is wrong is said before anything is written or encoded
        PairSampler(manifest.select(split="train"), stage, recipe.seed)
        _check_validation(recipe, stage, manifest.select(split="val"))
    if recipe.start_from:
        load_start(recipe.start_from, recipe, encoder)
    _claim(folder, recipe, manifest)
    store = _latents(data, manifest, recipe, encoder, folder / "latents", options)
    L.seed_everything(recipe.seed, workers=True, verbose=False)
    target = None
    for number, stage in enumerate(recipe.stages, 1):
        start, target = target, folder / f"stage{number}"
        if not (target / CARD).is_file():
            _train_stage(number, stage, recipe, store, encoder, start, folder, options)
    assert target is not None
    return target


def _with_splits(data: Manifest | LatentStore) -> Manifest:
    manifest = data.manifest if isinstance(data, LatentStore) else data
    manifest.check_disjoint()
    if isinstance(data, Manifest) and not (manifest.table["split"] != "").any():
        manifest = manifest.with_splits()
    for split in USED:
        manifest.select(split=split)
    return manifest


def _latents(
    data: Manifest | LatentStore,
    manifest: Manifest,
    recipe: Recipe,
    encoder: LatentEncoder,
    folder: Path,
    options: Options,
) -> LatentStore:
    mirror = any(stage.mirror for stage in recipe.stages)
    if isinstance(data, LatentStore):
        data.check(encoder.card, recipe.size, mirror=mirror)
        return data
    if options.follower:
        return LatentStore.open(folder)  # encoded before the first process started the others
    used = manifest.rows(manifest.table.index[manifest.table["split"].isin(USED)])
    return build_store(used, encoder, recipe.size, folder, mirror=mirror, device=options.device)


def read_data(source: Path) -> Manifest | LatentStore:
    """A manifest, or the folder of a LatentStore."""
    return LatentStore.open(source) if (source / STORE).is_file() else Manifest.read(source)


def _check_validation(recipe: Recipe, stage: Stage, held_out: Manifest) -> None:
    """Whether the pictures make the lists of :func:`_validation`."""
    if held_out.labelled:
        reid_pairs(held_out, recipe.pair_protocol)
    if stage.pixels is not None or not held_out.labelled:
        edited_pairs(held_out)


def _validation(recipe: Recipe, stage: Stage, store: LatentStore, encoder: LatentEncoder) -> dict[str, ValidationList]:
    """Re-identification where identities are known; copies where the stage edits pictures, or nothing else judges."""
    held_out, lists = store.select(split="val"), {}
    if held_out.manifest.labelled:
        lists["reid"] = reid_list(held_out, recipe.pair_protocol)
    if stage.pixels is not None or not lists:
        lists["copy"] = copy_list(held_out, encoder)
    return lists


def _claim(folder: Path, recipe: Recipe, manifest: Manifest) -> None:
    """Write down what the run is, or check that the folder's run is this one.

    Raises:
        LCMemError: It is another one.
    """
    used = manifest.table.loc[manifest.table["split"].isin(USED), COLUMNS]
    pictures = hashlib.sha256(used.to_csv(index=False).encode()).hexdigest()
    record: dict[str, Any] = {"recipe": recipe.to_dict(), "pictures": len(used), "manifest_sha256": pictures}
    path = folder / RECORD
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["recipe"] != record["recipe"]:
            difference = _first_difference(found["recipe"], record["recipe"])
            raise LCMemError(f"{folder}: holds a run of another recipe ({difference}); {_WAY_OUT}")
        if found["manifest_sha256"] != pictures:
            raise LCMemError(f"{folder}: holds a run on other pictures, identities or splits; {_WAY_OUT}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(folder / RECIPE)
    manifest.write(folder / MANIFEST)
    with replacing(path) as partial:
        partial.write_text(json.dumps(record, indent=2), encoding="utf-8")


_WAY_OUT = "choose another --out, or delete this folder"


def _first_difference(one: dict[str, Any], other: dict[str, Any], prefix: str = "") -> str:
    for key in sorted(one.keys() | other.keys()):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict) and a != b:
            return _first_difference(a, b, f"{prefix}{key}.")
        if a != b:
            return f"{prefix}{key} is {a} there and {b} here"
    raise AssertionError("no difference")


def _train_stage(
    number: int,
    stage: Stage,
    recipe: Recipe,
    store: LatentStore,
    encoder: LatentEncoder,
    start: Path | None,
    folder: Path,
    options: Options,
) -> None:
    part = store.select(split="train")
    sampler = PairSampler(part.manifest, stage, recipe.seed)
    network, history = start_network(start, recipe, encoder, part, options.allow_download)
    module = StageTraining(network, recipe, stage, encoder, part, _validation(recipe, stage, store, encoder))
    best = fit(module, part, sampler, number, folder, options)
    record = {"stage": number, "recipe": stage.to_dict(), **best}
    detector = LCMem(network, encoder, recipe.size, name=f"stage{number}", training=[*history, record])
    detector.card["training_data"] = training_data(part.manifest)
    if not options.follower:
        detector.save(folder / f"stage{number}")
        plot_curves(folder)
    if torch.distributed.is_initialized():  # the others wait for the detector that the next stage starts from
        torch.distributed.barrier()
