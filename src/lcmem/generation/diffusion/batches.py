"""What a step of a generator's training sees: latents, noise and noise levels, all by the number of the batch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lcmem.generation.diffusion.settings import Generator
from lcmem.latents import LatentStore


class Batch(NamedTuple):
    """One device's share of a step: latents and noise ``[B, C, h, w]``, σ ``[B]``, conditions ``[B, K]`` with K ≥ 0."""

    clean: Tensor
    noise: Tensor
    sigma: Tensor
    condition: Tensor


class Batches(IterableDataset[Batch]):
    """Batches by their number: pictures, noise levels and noise of batch k are always the same.

    Args:
        store: Latents of the training pictures.
        condition: ``[N, K]`` float32.
        settings: Of the training.
        numbers: Of the batches.
        rank: Of this device among ``world``.
        world: Number of devices.
    """

    def __init__(
        self, store: LatentStore, condition: np.ndarray, settings: Generator, numbers: range, rank: int, world: int
    ) -> None:
        self.store, self.condition, self.settings = store, condition, settings
        self.numbers, self.rank, self.world = numbers, rank, world

    def __iter__(self) -> Iterator[Batch]:
        for number in self.numbers:
            yield self.batch(number)

    def batch(self, number: int) -> Batch:
        """This device's share of one batch."""
        rng, settings = np.random.default_rng((self.settings.seed, number)), self.settings
        at = rng.integers(len(self.store), size=settings.batch_size)
        sigma = np.exp(rng.normal(settings.p_mean, settings.p_std, len(at))).astype(np.float32)
        noise = rng.standard_normal((len(at), *self.store.shape), dtype=np.float32)
        own = slice(self.rank, None, self.world)
        clean = self.store.read(at[own], normalise=True)
        return Batch(clean, *(torch.from_numpy(part) for part in (noise[own], sigma[own], self.condition[at[own]])))
