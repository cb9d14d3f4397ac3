"""The fixed pair lists that every epoch is judged by."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.augment import Augmentation
from lcmem.encoders import LatentEncoder
from lcmem.errors import LCMemError
from lcmem.latents import LatentStore
from lcmem.model import Head, pair_logits
from lcmem.pairs import Pairs, copy_pairs, identity_pairs, split_by_dataset
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import to_float, to_levels
from lcmem.pictures.manifest import Manifest
from lcmem.stats.roc import auc

MAX_PAIRS, MAX_COPIES, CHUNK, AT_ONCE = 2000, 600, 64, 8
"""Positive pairs of each dataset; edited copies in all; pictures at a time; of them encoded at once."""

Embed = Callable[[Tensor], Tensor]
"""Latents ``[B, C, h, w]``, as the encoder gives them, to features ``[B, D]``."""


@dataclass(frozen=True)
class ValidationList:
    """Pairs of validation pictures.

    Attributes:
        store: Latents of the first pictures.
        second: Latents of the second ones ``[N, C, h, w]``, at the same positions; None: the same as the first.
        pairs: Positions and labels; each dataset has pairs of both kinds.
    """

    store: LatentStore
    second: Tensor | None
    pairs: Pairs

    def scores(self, embed: Embed, head: Head) -> tuple[float, dict[str, float]]:
        """The binary cross-entropy of all pairs, and the AUC of each dataset."""
        u = self._features(embed, None)
        v = u if self.second is None else self._features(embed, self.second)
        logits = pair_logits(u[self.pairs.first], v[self.pairs.second], head.weight, head.bias).cpu()
        bce = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(self.pairs.same).double())
        parts = split_by_dataset(self.store.manifest, self.pairs)
        return float(bce), {name: auc(logits[at].numpy(), self.pairs.same[at]) for name, at in parts}

    def outputs(self, embed: Embed) -> Tensor:
        """Of all first pictures, and then of the second ones where they are others: ``[N or 2N, D]``."""
        first = self._features(embed, None)
        return first if self.second is None else torch.cat((first, self._features(embed, self.second)))

    def _features(self, embed: Embed, latents: Tensor | None) -> Tensor:
        parts = []
        for at in np.array_split(np.arange(len(self.store)), max(1, len(self.store) // CHUNK)):
            part = self.store.read(at) if latents is None else latents[torch.from_numpy(at)]
            parts.append(embed(part).float())
        return torch.cat(parts)


def reid_pairs(manifest: Manifest, protocol: str) -> Pairs:
    """Positive pairs and as many negative ones, within each dataset that has both.

    Raises:
        LCMemError: No dataset has both.
    """
    pairs = _judged(manifest, identity_pairs(manifest, max_positives=MAX_PAIRS, protocol=protocol))
    if pairs is None:
        raise LCMemError(
            "the split 'val' cannot judge a training: no dataset in it has two pictures of one identity and a picture "
            "of another one; move more identities there, or name none there, and edited copies are the judge"
        )
    return pairs


def reid_list(store: LatentStore, protocol: str) -> ValidationList:
    """The list of :func:`reid_pairs`; only pictures that a pair needs."""
    pairs = reid_pairs(store.manifest, protocol)
    used, places = np.unique(np.concatenate((pairs.first, pairs.second)), return_inverse=True)
    first, second = places[: len(pairs)], places[len(pairs) :]
    return ValidationList(store.rows(used), None, Pairs(first, second, pairs.same))


def edited_pairs(manifest: Manifest) -> Pairs:
    """Each picture and its copy, and the copy of another picture of its dataset.

    Raises:
        LCMemError: Every dataset has a single picture.
    """
    pairs = _judged(manifest, copy_pairs(len(manifest), manifest.table["dataset"].to_numpy()))
    if pairs is None:
        raise LCMemError("the split 'val' cannot judge a training: it needs two pictures of one dataset")
    return pairs


def copy_list(store: LatentStore, encoder: LatentEncoder) -> ValidationList:
    """Some validation pictures and an edited copy of each (always with every edit of ``Augmentation()``)."""
    part = store.rows(np.sort(np.random.default_rng(0).permutation(len(store))[:MAX_COPIES]))
    pairs = edited_pairs(part.manifest)
    generator = torch.Generator().manual_seed(0)
    device = next(encoder.parameters(), torch.empty(0)).device
    latents = []
    for start in range(0, len(part), CHUNK):
        paths = part.manifest.paths[start : start + CHUNK]
        levels = torch.stack([torch.from_numpy(load_levels(path, store.size)) for path in paths])
        edited = to_levels(Augmentation()(to_float(levels), generator))
        with torch.inference_mode():  # in float32 and by the mode of the posterior, as a detector encodes
            latents += [encoder.encode(few).cpu() for few in to_float(edited.to(device)).split(AT_ONCE)]
    return ValidationList(part, torch.cat(latents), pairs)


def _judged(manifest: Manifest, pairs: Pairs) -> Pairs | None:
    """Without datasets whose pairs are all positive or all negative: they have no AUC. None where nothing is left."""
    kept = [at for _, at in split_by_dataset(manifest, pairs) if len(np.unique(pairs.same[at])) == 2]
    return pairs.at(np.sort(np.concatenate(kept))) if kept else None
