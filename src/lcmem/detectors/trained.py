"""Checkpoints of this project (LCMem itself and the task-specific baselines) as detectors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.detectors.base import CosineDetector
from lcmem.detectors.entry import Options
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError


class TrainedDetector(CosineDetector):
    """A Siamese network: its head's logits, or cosines where it was trained by NT-Xent alone.

    Args:
        model: The checkpoint.
        name: In tables.

    Attributes:
        contrastive: Whether every stage of the training had NT-Xent as its only aim for the features. The head then
            came after them, and pairs are compared as that loss compares them (Dar et al. 2023), not by the head.
    """

    def __init__(self, model: LCMem, name: str) -> None:
        self.model, self.name, self.fingerprint = model, name, model.fingerprint
        weights = [stage.get("recipe", {}).get("bce_weight") for stage in model.card["training"]]
        self.contrastive = bool(weights) and not any(weights) and None not in weights

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]`` in [0, 1]; pictures of another size than the model's are resized."""
        size = self.model.size
        if pictures.shape[-1] != size:
            scaled = F.interpolate(pictures.float(), (size, size), mode="bilinear", antialias=True)
            pictures = scaled.round().clamp(0, 255).to(torch.uint8)
        return self.model.embed(pictures)

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[N]``; cosines of the features centred at 0.5, as the loss sees them, if contrastive."""
        return super().similarity(2 * u - 1, 2 * v - 1) if self.contrastive else self.model.logits(u, v)

    @torch.inference_mode()
    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits or cosines ``[N, M]``."""
        if self.contrastive:
            return super().similarities(2 * u - 1, 2 * v - 1)
        return self.model.network.head.all_pairs(u.to(self.model.device), v.to(self.model.device)).cpu()


def load_trained(options: Options, name: str) -> TrainedDetector:
    """A checkpoint of the user's.

    Args:
        options: Its folder is ``weights``.
        name: In tables; "" takes the card's.

    Raises:
        LCMemError: No folder is given, or the checkpoint cannot be used.
    """
    if options.weights is None:
        raise LCMemError(
            f"{name}: its weights are not published. Train it, lcmem train {name} --data MANIFEST, "
            f"and name the folder that it prints: {name}=FOLDER"
        )
    model = LCMem.load(options.weights, device=options.device, allow_download=options.allow_download)
    return TrainedDetector(model, name or model.card["name"])


def load_bundled(options: Options, name: str) -> TrainedDetector:
    """The checkpoint of that name that comes with the package."""
    return TrainedDetector(LCMem.load(name, device=options.device), name)
