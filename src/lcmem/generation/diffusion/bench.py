"""What all experiments share: pictures, latents, detectors, and samples that are kept in chunks."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.encoders import LatentEncoder, load_encoder
from lcmem.errors import LCMemError
from lcmem.files import read_arrays, read_json, write_arrays, write_json, write_picture
from lcmem.generation.diffusion.samples import Samples
from lcmem.generation.diffusion.settings import Experiment
from lcmem.generation.diffusion.training import DiffusionTraining, draw_latents, train_generator
from lcmem.generation.filter import PrivacyFilter
from lcmem.latents import LatentStore, build_store
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.loading import to_levels
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_share
from lcmem.progress import progress_bar
from lcmem.training.fit import RunOptions

SHOWN = 16
"""Samples in a grid."""


@dataclass(frozen=True)
class Bench:
    """Everything that an experiment works with.

    Attributes:
        settings: Of the experiment.
        folder: Where everything is kept.
        encoder: Autoencoder of the latents.
        detector: Finds matches.
        extractor: Its features are what distances and retrieval scores are computed on.
        train: Latents of the training pictures.
        holdout: Latents of pictures of the split ``test``: the generator and the classifiers never see them.
        real: Features by the detector of the training pictures, in the order of ``train``.
        control: Those of the holdout.
        where: Devices.
    """

    settings: Experiment
    folder: Path
    encoder: LatentEncoder
    detector: Detector
    extractor: Detector
    train: LatentStore
    holdout: LatentStore
    real: FeatureSet
    control: FeatureSet
    where: RunOptions

    @classmethod
    def open(
        cls,
        data: Manifest,
        settings: Experiment,
        folder: Path,
        detector: Detector,
        extractor: Detector,
        where: RunOptions | None = None,
        *,
        allow_download: bool = False,
    ) -> "Bench":
        """Encode what is not encoded yet.

        Args:
            data: Pictures with the splits ``train`` and ``test``, which share no identity.
            settings: Of the experiment.
            folder: A new one, or one of the same settings and detector.
            detector: See above.
            extractor: See above.
            where: Devices.
            allow_download: Whether the encoder may be downloaded.

        Raises:
            LCMemError: Identities in both splits, no pictures in one, or another experiment's folder.
        """
        data.check_disjoint()
        _claim(folder, settings, detector, extractor)
        encoder = load_encoder(settings.encoder, device=(where or RunOptions()).device, allow_download=allow_download)
        parts = [_first(data, "train", settings.pictures), _first(data, "test", settings.holdout)]
        both = Manifest(pd.concat([part.table for part in parts], ignore_index=True))
        store = build_store(both, encoder, settings.size, folder / "latents")
        sets = [features_of(store.select(split=split).manifest, detector, folder) for split in ("train", "test")]
        paths = pd.Index(store.manifest.table["path"])
        train, holdout = (store.rows(paths.get_indexer(pd.Index(found.manifest.paths))) for found in sets)
        return cls(
            settings, folder, encoder, detector, extractor, train, holdout, sets[0], sets[1], where or RunOptions()
        )

    def generator(self, name: str, store: LatentStore, condition: np.ndarray) -> DiffusionTraining:
        """Train a generator in a folder of its own, or load it."""

        def draw(module: DiffusionTraining, target: Path) -> None:
            at = np.arange(min(SHOWN, len(store)))
            save_grid(self.pictures(self.draw(module, condition[at], at), store, at), target)

        return train_generator(
            store, condition, self.settings.generator, self.folder / name, where=self.where, draw=draw
        )

    def first(self, size: int) -> LatentStore:
        """The first so many training pictures.

        Raises:
            LCMemError: There are fewer.
        """
        if size > len(self.train):
            raise LCMemError(f"{size} training pictures are asked for, there are {len(self.train)}")
        return self.train.rows(np.arange(size))

    def by_size(self, store: LatentStore) -> tuple[str, DiffusionTraining]:
        """The generator without condition of these first training pictures, and the name of its folder."""
        name = f"size-{len(store)}"
        return name, self.generator(name, store, unconditional(len(store)))

    def draw(self, module: DiffusionTraining, condition: np.ndarray, seeds: np.ndarray, **options: Any) -> Tensor:
        """Normalised latents, one for each condition and seed; options as of ``draw_latents``."""
        steps = self.settings.sampler_steps
        return draw_latents(module, condition, seeds, self.train.shape, steps=steps, **options)

    def raw(self, latents: Tensor, store: LatentStore, at: np.ndarray) -> Tensor:
        """Normalised latents ``[n, C, h, w]`` as the autoencoder has them, with the scale of pictures ``at``."""
        scales = [store.scales[name] for name in store.manifest.table["dataset"].to_numpy()[at]]
        mean, std = (torch.from_numpy(np.stack([getattr(each, part) for each in scales])) for part in ("mean", "std"))
        return latents * (2 * std.float())[..., None, None] + mean.float()[..., None, None]

    @torch.inference_mode()
    def pictures(self, latents: Tensor, store: LatentStore, at: np.ndarray) -> Tensor:
        """Normalised latents ``[n, C, h, w]`` decoded to ``[n, 3, H, W]`` uint8, with the scale of pictures ``at``."""
        raw = self.raw(latents, store, at)
        device = next(iter(self.encoder.parameters()), raw).device
        decoded = self.encoder.decode(raw.to(device)).float().clamp(0, 1).cpu()
        return to_levels(decoded)

    def decoded(self, samples: Samples, store: LatentStore) -> list[np.ndarray]:
        """All samples as pictures ``[H, W, 3]`` uint8; the store is the one that they were drawn for."""
        latents, batch = torch.from_numpy(samples.latents).float(), self.settings.batch_size
        shown = torch.arange(len(latents)) % len(store)
        parts = zip(latents.split(batch), shown.split(batch), strict=True)
        made = torch.cat([self.pictures(part, store, at.numpy()) for part, at in parts])
        return list(made.permute(0, 2, 3, 1).numpy())

    def samples(self, name: str, module: DiffusionTraining, store: LatentStore, condition: np.ndarray) -> Samples:
        """One sample for each condition, drawn in chunks that are kept: what a killed run drew is not drawn again.

        Args:
            name: Folder of the generator.
            module: The generator.
            store: Its training pictures; sample i has the scale of picture i, over and over.
            condition: ``[n, K]``.
        """
        folder, size, count = self.folder / name / "samples", self.settings.batch_size, len(condition)
        folder.mkdir(parents=True, exist_ok=True)
        parts = []
        with progress_bar(f"sampling {name}", count) as advance:
            for start in range(0, count, size):
                at = np.arange(start, min(start + size, count))
                target = folder / f"{start:07d}.npz"
                if not target.is_file():
                    latents = self.draw(module, condition[at], at)
                    self._keep(latents, self.pictures(latents, store, at % len(store)), target)
                parts.append(read_arrays(target, "delete it and run the same command again"))
                advance(len(at))
        return Samples.joined(parts)

    def _keep(self, latents: Tensor, pictures: Tensor, target: Path) -> None:
        matching, quality = (embedded(each, pictures).numpy() for each in (self.detector, self.extractor))
        write_arrays(target, latents=latents.half().numpy(), matching=matching, quality=quality)

    @cached_property
    def privacy(self) -> PrivacyFilter:
        """The filter against the training pictures, calibrated on them."""
        return PrivacyFilter(self.detector, self.real)


def unconditional(count: int) -> np.ndarray:
    """Conditions ``[count, 0]``: none."""
    return np.empty((count, 0), dtype=np.float32)


def embedded(detector: Detector, pictures: Tensor) -> Tensor:
    """Features ``[n, D]`` of pictures ``[n, 3, H, W]`` uint8, brought to the detector's size as files are."""
    return detector.features(list(pictures.permute(0, 2, 3, 1).numpy())).float()


def features_of(manifest: Manifest, detector: Detector, folder: Path) -> FeatureSet:
    """Features of pictures, kept below ``folder``."""
    return extract_features(manifest, detector, open_features(folder / f"features-{detector.name}", detector))


def read_datasets(sources: list[str], datasets: list[str]) -> Manifest:
    """One manifest of several folders, zips or tables.

    Args:
        sources: As :meth:`lcmem.pictures.manifest.Manifest.read` takes them.
        datasets: Those to use; none takes all.

    Raises:
        LCMemError: One of these datasets is not there.
    """
    table = pd.concat([Manifest.read(source).table for source in sources], ignore_index=True)
    known = set(table["dataset"])
    if missing := [name for name in datasets if name not in known]:
        raise LCMemError(f"no pictures of {', '.join(missing)}; there are: {', '.join(sorted(known))}")
    kept = table[table["dataset"].isin(datasets)] if datasets else table
    return Manifest(kept.reset_index(drop=True))


def _first(data: Manifest, split: str, count: int) -> Manifest:
    """So many pictures of a split, by a hash of set and file name: the same on every machine, fewer are among more."""
    part = data.select(split=split)
    names = part.table["dataset"] + "/" + part.table["path"].map(os.path.basename)
    return part.rows(np.argsort(names.map(hash_share).to_numpy(), kind="stable")[:count])


def _claim(folder: Path, settings: Experiment, detector: Detector, extractor: Detector) -> None:
    known = {
        "settings": settings.to_dict(),
        "detector": [detector.name, detector.fingerprint],
        "extractor": [extractor.name, extractor.fingerprint],
    }
    target = folder / "experiment.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not target.is_file():
        write_json(known, target)
    elif read_json(target) != known:
        raise LCMemError(f"{folder}: holds an experiment with other settings or detectors; choose another --out")


def save_grid(pictures: Tensor, target: Path, columns: int = 4) -> None:
    """Pictures ``[n, 3, H, W]`` uint8 as one PNG, row by row."""
    rows = [torch.cat(list(row), 2) for row in pictures.split(columns) if len(row) == columns]
    if not rows:
        rows = [torch.cat(list(pictures), 2)]
    write_picture(torch.cat(rows, 1).numpy(), target)
