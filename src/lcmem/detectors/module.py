"""Any PyTorch module that makes features of pictures, as a detector."""

import hashlib

import torch
from torch import Tensor, nn

from lcmem.detectors.base import CosineDetector
from lcmem.detectors.preprocessing import Preprocessing
from lcmem.devices import full_precision, usable_device
from lcmem.encoders import weights_sha256


class ModuleDetector(CosineDetector):
    """Features of a frozen module, compared by their cosine.

    Args:
        name: In tables and file names.
        module: Maps ``[B, 3, crop, crop]`` to features ``[B, D]``.
        preprocessing: What the module wants to see.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        LCMemError: A device that this machine does not have.
    """

    def __init__(self, name: str, module: nn.Module, preprocessing: Preprocessing, device: str = "cpu") -> None:
        self.name, self.preprocessing, self.device = name, preprocessing, usable_device(device)
        self.module = module.eval().requires_grad_(False).to(self.device, torch.float32)
        parts = f"{name} {weights_sha256(module)} {preprocessing}"
        self.fingerprint = hashlib.sha256(parts.encode()).hexdigest()

    @torch.inference_mode()
    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]``, float32."""
        with full_precision(self.device):
            features: Tensor = self.module(self.preprocessing(pictures.to(self.device)))
        return features.float().cpu()
