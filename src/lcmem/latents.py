"""LatentStore: pictures encoded once, so that stage 1 never decodes a picture again."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcmem.cache import cached_array, cached_pictures
from lcmem.encoders import LatentEncoder
from lcmem.errors import LCMemError
from lcmem.loading import to_float
from lcmem.manifest import Manifest
from lcmem.progress import progress_bar


@dataclass(frozen=True)
class LatentStore:
    """Latents of a manifest's pictures and of their mirror images.

    Attributes:
        manifest: The pictures that could be read.
        latents: ``[N, 2, C, h, w]`` float16, memory-mapped; the second view is the mirror image.
        mean: ``[C]`` over the first views.
        std: ``[C]`` over the first views.
        skipped: Why the other pictures could not be read.
    """

    manifest: Manifest
    latents: np.ndarray
    mean: Tensor
    std: Tensor
    skipped: list[str]


def encode_pictures(pictures: Tensor, encoder: LatentEncoder, device: torch.device | str = "cpu") -> Tensor:
    """uint8 pictures ``[B, 3, H, W]`` to latents ``[B, C, h, w]``, bfloat16 inside where that is fast."""
    with torch.no_grad(), torch.autocast(torch.device(device).type, torch.bfloat16):
        return encoder.encode(to_float(pictures.to(device))).float()


def build_store(manifest: Manifest, encoder: LatentEncoder, size: int, folder: Path, *, batch: int = 64) -> LatentStore:
    """Encode every picture and its mirror image, or open what an earlier run encoded.

    Raises:
        LCMemError: A latent is not finite.
    """
    pictures, kept, skipped = cached_pictures(manifest, size, folder)
    side = size // encoder.card.downsample
    shape = (len(kept), 2, encoder.card.channels, side, side)

    def fill(array: np.ndarray) -> dict[str, Any]:
        total = torch.zeros(2, encoder.card.channels, dtype=torch.float64)
        with progress_bar("encoding pictures", len(kept)) as advance:
            for start in range(0, len(kept), batch):
                levels = torch.from_numpy(pictures[start : start + batch].copy())
                latents = torch.stack([encode_pictures(view, encoder) for view in (levels, levels.flip(-1))], 1)
                if not latents.isfinite().all():
                    raise LCMemError(f"latents of {kept.paths[start]} or its neighbours are not finite")
                array[start : start + batch] = latents.half().numpy()
                first = latents[:, 0].double()
                total += torch.stack((first.sum((0, 2, 3)), first.square().sum((0, 2, 3))))
                advance(len(levels))
        mean, square = total / (len(kept) * side * side)
        return {"mean": mean.tolist(), "std": (square - mean.square()).sqrt().tolist()}

    paths = hashlib.sha256("\n".join(kept.paths).encode()).hexdigest()
    key = {"what": "latents", "paths": paths, "size": size, "encoder": encoder.card.sha256}
    latents, notes = cached_array(folder, key, shape, np.float16, fill)
    return LatentStore(kept, latents, torch.tensor(notes["mean"]), torch.tensor(notes["std"]), skipped)
