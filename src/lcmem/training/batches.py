"""What a training step sees: latents of both pictures of each pair, or the pictures themselves, edited."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lcmem.augment import Augmentation
from lcmem.latents import LatentStore
from lcmem.pictures.image import load_levels
from lcmem.training.sampler import PairSampler


class Batch(NamedTuple):
    """One device's share of a step.

    Attributes:
        first: Latents ``[B, C, h, w]``, or uint8 pictures ``[B, 3, H, W]`` that are still to be encoded.
        second: The same of the second pictures.
        identity: Integer labels ``[B]``.
        single: Whether a pair is one picture twice, ``[B]``.
        dataset: Number of each pair's dataset, in the order of the names, ``[B]``.
    """

    first: Tensor
    second: Tensor
    identity: Tensor
    single: Tensor
    dataset: Tensor


class Draw(NamedTuple):
    """What was drawn for one device's share: positions ``[B]``, views ``[2, B]``, which pairs are edited ``[B]``."""

    first: np.ndarray
    second: np.ndarray
    view: np.ndarray
    edited: np.ndarray


class PairBatches(IterableDataset[Batch]):
    """Batches by their number: whatever was interrupted or distributed, batch k is the same.

    Args:
        store: Latents of the training pictures; two views where the stage mirrors.
        sampler: Draws the pairs; its stage says what is done to them.
        numbers: Of the batches.
        rank: Of this device, among ``world`` devices that share each batch.
        world: Number of devices.
    """

    def __init__(self, store: LatentStore, sampler: PairSampler, numbers: range, rank: int = 0, world: int = 1) -> None:
        self.store, self.sampler, self.numbers, self.rank, self.world = store, sampler, numbers, rank, world
        self.datasets = np.unique(store.manifest.table["dataset"], return_inverse=True)[1]
        self.paths = store.manifest.paths

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        step, start = (worker.num_workers, worker.id) if worker else (1, 0)
        for number in self.numbers[start::step]:  # workers take turns, so that batches come in order
            yield self.batch(number)

    def batch(self, number: int) -> Batch:
        """This device's share of one batch."""
        stage = self.sampler.stage
        first, second, identity = self.sampler.batch(number)
        single = first == second
        rng = np.random.default_rng((self.sampler.seed, number, 1))
        view = rng.integers(2, size=(2, len(first))) * stage.mirror
        view[1] = np.where(single & stage.mirror, 1 - view[0], view[1])
        copy = (rng.random(len(first)) < stage.copies) | single
        edited = copy | (rng.random(len(first)) < stage.edited)
        second = np.where(copy, first, second) if stage.pixels else second
        drawn = Draw(*(part[..., self.rank :: self.world] for part in (first, second, view, edited)))
        seed = int(rng.integers(2**62)) + self.rank
        one, other = self._latents(drawn) if stage.pixels is None else self._edited(drawn, stage.pixels, seed)
        rest = (torch.from_numpy(part[self.rank :: self.world]) for part in (identity, single, self.datasets[first]))
        return Batch(one, other, *rest)

    def _latents(self, drawn: Draw) -> tuple[Tensor, Tensor]:
        return self.store.read(drawn.first, drawn.view[0]), self.store.read(drawn.second, drawn.view[1])

    def _edited(self, drawn: Draw, edit: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        other = self._pictures(drawn.second, drawn.edited, edit, generator)
        if self.sampler.stage.edit_both:
            return self._pictures(drawn.first, drawn.edited, edit, generator), other
        return self.store.read(drawn.first, drawn.view[0]), other

    def _pictures(
        self, positions: np.ndarray, edited: np.ndarray, edit: Augmentation, generator: torch.Generator
    ) -> Tensor:
        """Pictures ``[n, 3, H, W]`` as bytes, of which some are edited."""
        size, chosen = self.store.size, torch.from_numpy(edited)
        levels = torch.stack([torch.from_numpy(load_levels(self.paths[k], size)) for k in positions])
        changed = edit(levels[chosen].float() / 255, generator)
        levels[chosen] = (changed * 255).round().to(torch.uint8)
        return levels
