"""What a training step sees: latents of both pictures of each pair, or the second picture itself, edited."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lcmem.augment import Augmentation
from lcmem.latents import LatentStore
from lcmem.pictures.image import load_levels
from lcmem.training.recipe import Stage
from lcmem.training.sampler import PairSampler


class Batch(NamedTuple):
    """One device's share of a step.

    Attributes:
        first: Latents ``[B, C, h, w]``.
        second: Latents ``[B, C, h, w]``, or uint8 pictures ``[B, 3, H, W]`` that are still to be encoded.
        identity: Integer labels ``[B]``.
        dataset: Number of each pair's dataset ``[B]``.
    """

    first: Tensor
    second: Tensor
    identity: Tensor
    dataset: Tensor


class PairBatches(IterableDataset[Batch]):
    """Batches by their number: whatever was interrupted or distributed, batch k is the same.

    With ``stage.pixels`` the first picture of a pair stands for one of the real set: it is clean, and its latent is in
    the store. The second is decoded, may be edited, and goes through the encoder.

    Args:
        store: Latents of the training pictures; two views where ``stage.mirror`` is set.
        sampler: Draws the pairs.
        stage: The settings.
        augmentation: What edits pictures; None: both latents are from the store.
        size: Side in pixels that pictures are squeezed into.
        datasets: All names in order, by which datasets are numbered.
        numbers: Of the batches.
        rank: Of this device, among ``world`` devices that share each batch.
        world: Number of devices.
    """

    def __init__(
        self,
        store: LatentStore,
        sampler: PairSampler,
        stage: Stage,
        augmentation: Augmentation | None,
        size: int,
        datasets: list[str],
        numbers: range,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.store, self.sampler, self.stage, self.augmentation = store, sampler, stage, augmentation
        self.size, self.numbers, self.rank, self.world = size, numbers, rank, world
        self.datasets = np.searchsorted(datasets, store.manifest.table["dataset"])
        self.paths = store.manifest.paths

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        step, start = (worker.num_workers, worker.id) if worker else (1, 0)
        for number in self.numbers[start::step]:  # workers take turns, so that batches come in order
            yield self.batch(number)

    def batch(self, number: int) -> Batch:
        """This device's share of one batch."""
        first, second, identity = self.sampler.batch(number)
        rng = np.random.default_rng((self.sampler.seed, number, 1))
        view = rng.integers(2, size=(2, len(first))) if self.stage.mirror else np.zeros((2, len(first)), dtype=int)
        copy = (rng.random(len(first)) < self.stage.copies) | (first == second)
        edited = copy | (rng.random(len(first)) < self.stage.edited)
        mine = slice(self.rank, None, self.world)
        first, second, identity, view, copy, edited = (
            part[..., mine] for part in (first, second, identity, view, copy, edited)
        )
        clean = self.store.read(first, view[0])
        if self.augmentation is None:
            other = self.store.read(second, view[1])
        else:
            generator = torch.Generator().manual_seed(int(rng.integers(2**62)) + self.rank)
            other = self._pictures(np.where(copy, first, second), torch.from_numpy(edited), generator)
        return Batch(clean, other, torch.from_numpy(identity), torch.from_numpy(self.datasets[first]))

    def _pictures(self, positions: np.ndarray, edited: Tensor, generator: torch.Generator) -> Tensor:
        assert self.augmentation is not None
        levels = torch.stack([torch.from_numpy(load_levels(self.paths[k], self.size)) for k in positions])
        changed = self.augmentation(levels[edited].float() / 255, generator)
        levels[edited] = (changed * 255).round().to(torch.uint8)
        return levels
