"""The fixed pair lists that every epoch is judged by."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.augment import Augmentation
from lcmem.encoders import LatentEncoder
from lcmem.latents import LatentStore, encode_pictures
from lcmem.model import Head, pair_logits
from lcmem.pairs import Pairs, copy_pairs, identity_pairs, split_by_dataset
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import to_float
from lcmem.stats.roc import auc

MAX_PAIRS, MAX_COPIES, CHUNK = 2000, 600, 64
"""Positive pairs of each dataset; edited copies in all; pictures at a time."""

Embed = Callable[[Tensor, Tensor], Tensor]
"""Latents ``[B, C, h, w]`` and numbers of their datasets ``[B]`` to features ``[B, D]``."""


@dataclass(frozen=True)
class ValidationList:
    """Pairs of validation pictures.

    Attributes:
        store: Latents of the first pictures.
        second: Latents of the second ones ``[N, C, h, w]``, at the same positions; None: the same as the first.
        pairs: Positions and labels.
        datasets: All names, by which the datasets are numbered.
    """

    store: LatentStore
    second: Tensor | None
    pairs: Pairs
    datasets: list[str]

    def scores(self, embed: Embed, head: Head) -> dict[str, float]:
        """AUC of each dataset, and under ``""`` the binary cross-entropy of all pairs."""
        u = self._features(embed, None)
        v = u if self.second is None else self._features(embed, self.second)
        logits = pair_logits(u[self.pairs.first], v[self.pairs.second], head.weight, head.bias).cpu()
        same = torch.from_numpy(self.pairs.same).double()
        values = {"": float(F.binary_cross_entropy_with_logits(logits, same))}
        for name, at in split_by_dataset(self.store.manifest, self.pairs):
            values[name] = auc(logits[at].numpy(), self.pairs.same[at])
        return values

    def _features(self, embed: Embed, latents: Tensor | None) -> Tensor:
        parts = []
        codes = torch.from_numpy(np.searchsorted(self.datasets, self.store.manifest.table["dataset"]))
        for at in np.array_split(np.arange(len(self.store)), max(1, len(self.store) // CHUNK)):
            part = self.store.read(at) if latents is None else latents[torch.from_numpy(at)]
            parts.append(embed(part, codes[at]).float())
        return torch.cat(parts)


def reid_list(store: LatentStore, datasets: list[str], protocol: str) -> ValidationList:
    """Positive pairs and as many negative ones, within each dataset; only pictures that a pair needs."""
    pairs = identity_pairs(store.manifest, max_positives=MAX_PAIRS, protocol=protocol)
    used, places = np.unique(np.concatenate((pairs.first, pairs.second)), return_inverse=True)
    first, second = places[: len(pairs)], places[len(pairs) :]
    return ValidationList(store.rows(used), None, Pairs(first, second, pairs.same), datasets)


def copy_list(store: LatentStore, datasets: list[str], encoder: LatentEncoder, size: int) -> ValidationList:
    """Some validation pictures and an edited copy of each (always with every edit of ``Augmentation()``)."""
    part = store.rows(np.sort(np.random.default_rng(0).permutation(len(store))[:MAX_COPIES]))
    generator = torch.Generator().manual_seed(0)
    latents = []
    for start in range(0, len(part), CHUNK):
        levels = [torch.from_numpy(load_levels(path, size)) for path in part.manifest.paths[start : start + CHUNK]]
        edited = Augmentation()(to_float(torch.stack(levels)), generator)
        device = next(encoder.parameters(), torch.empty(0)).device
        latents.append(encode_pictures((edited * 255).round().to(torch.uint8), encoder, device).cpu())
    pairs = copy_pairs(len(part), part.manifest.table["dataset"].to_numpy())
    return ValidationList(part, torch.cat(latents), pairs, datasets)
