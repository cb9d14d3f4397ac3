"""Checkpoints of this project (LCMem itself and the task-specific baselines) as detectors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem


class TrainedDetector(Detector):
    """A Siamese network and its head.

    Args:
        model: The checkpoint.
        name: In tables.
    """

    def __init__(self, model: LCMem, name: str) -> None:
        self.model, self.name, self.fingerprint = model, name, model.fingerprint

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]`` in [0, 1]; pictures of another size than the model's are resized."""
        size = self.model.size
        if pictures.shape[-1] != size:
            scaled = F.interpolate(pictures.float(), (size, size), mode="bilinear", antialias=True)
            pictures = scaled.round().clamp(0, 255).to(torch.uint8)
        return self.model.embed(pictures)

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[N]``."""
        return self.model.logits(u, v)

    @torch.inference_mode()
    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[N, M]``."""
        return self.model.network.head.all_pairs(u.to(self.model.device), v.to(self.model.device)).cpu()
