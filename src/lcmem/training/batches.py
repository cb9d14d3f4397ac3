"""What a training step sees: latents of both pictures of each pair, or the pictures themselves, edited."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from lcmem.augment import Augmentation
from lcmem.latents import LatentStore
from lcmem.pictures.loading import to_levels
from lcmem.training.sampler import PairSampler, by_domain

if TYPE_CHECKING:
    from lcmem.training.views import ViewMaker


class Batch(NamedTuple):
    """One device's share of a step.

    Attributes:
        first: Latents ``[B, C, h, w]``, or uint8 pictures ``[B, 3, H, W]`` that are still to be encoded.
        second: The same of the second pictures.
        identity: Integer labels ``[B]``.
        single: Whether a pair is one picture twice, ``[B]``.
        dataset: Number of each pair's dataset, in the order of the names, ``[B]``.
        domain: Number of each pair's domain, ``[B]``.
        picture: Positions of both pictures among the training pictures, ``[B, 2]``.
    """

    first: Tensor
    second: Tensor
    identity: Tensor
    single: Tensor
    dataset: Tensor
    domain: Tensor
    picture: Tensor


class Draw(NamedTuple):
    """What was drawn for one device's share: positions ``[2, B]``, views ``[2, B]``, which pairs are edited ``[B]``."""

    picture: np.ndarray
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
        self.views = _view_maker(store, sampler)

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
        second = np.where(copy, first, second) if stage.edits_pictures else second
        picture = np.stack((first, second))
        drawn = Draw(*(part[..., self.rank :: self.world] for part in (picture, view, edited)))
        one, other = self._both(drawn, int(rng.integers(2**62)) + self.rank)
        labels = identity, single, self.datasets[first], self.sampler.domain[first], picture.T
        return Batch(one, other, *(torch.from_numpy(part[self.rank :: self.world]) for part in labels))

    def _both(self, drawn: Draw, seed: int) -> tuple[Tensor, Tensor]:
        stage = self.sampler.stage
        if self.views is not None:
            return _views(
                self.views, self.store.pictures(drawn.picture.ravel()), self.sampler.domain[drawn.picture], seed
            )
        if stage.pixels is not None:
            return self._edited(drawn, stage.pixels, seed)
        return self.store.read(drawn.picture[0], drawn.view[0]), self.store.read(drawn.picture[1], drawn.view[1])

    def _edited(self, drawn: Draw, edit: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        other = self._pictures(drawn.picture[1], drawn.edited, edit, generator)
        if self.sampler.stage.edit_both:
            return self._pictures(drawn.picture[0], drawn.edited, edit, generator), other
        return self.store.read(drawn.picture[0], drawn.view[0]), other

    def _pictures(
        self, positions: np.ndarray, edited: np.ndarray, edit: Augmentation, generator: torch.Generator
    ) -> Tensor:
        """Pictures ``[n, 3, H, W]`` as bytes, of which some are edited."""
        levels, chosen = torch.from_numpy(self.store.pictures(positions)), torch.from_numpy(edited)
        changed = edit(levels[chosen].float() / 255, generator)
        levels[chosen] = to_levels(changed)
        return levels


def _view_maker(store: LatentStore, sampler: PairSampler) -> "ViewMaker | None":
    """What makes views, in a stage that does."""
    settings = sampler.stage.views
    if settings is None:
        return None
    from lcmem.training.views import ViewMaker

    alone = (by_domain(part, store.manifest, sampler.named) for part in (settings.strong_in, settings.least_area_in))
    return ViewMaker(settings, *alone)


def _views(maker: "ViewMaker", pictures: np.ndarray, domains: np.ndarray, seed: int) -> tuple[Tensor, Tensor]:
    """Views ``[n, 3, side, side]`` of the first and the second half of pictures ``[2n, 3, S, S]``, uint8."""
    rng, half = np.random.default_rng(seed), len(pictures) // 2
    others = pictures[rng.integers(half, size=len(pictures))]
    made = [
        maker.view(rng, picture, other, int(domain), first=k < half)
        for k, (picture, other, domain) in enumerate(zip(pictures, others, domains.ravel(), strict=True))
    ]
    first, second = torch.from_numpy(np.stack(made)).chunk(2)
    return first, second
