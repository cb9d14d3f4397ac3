"""Any PyTorch module that makes features of pictures, as a detector."""

import hashlib
import inspect
import re

import torch
from torch import Tensor, nn

from lcmem.detectors.base import CosineDetector
from lcmem.detectors.preprocessing import Preprocessing
from lcmem.devices import full_precision, usable_device
from lcmem.encoders import weights_sha256

LIBRARIES = ("timm", "torchvision", "transformers", "lcmem")
"""Whose networks a name and weights tell apart, whatever version of the library prints or builds them."""


class ModuleDetector(CosineDetector):
    """Features of a frozen module, compared by their cosine.

    Its fingerprint covers its weights, its structure and the code of its classes, but not functions that these call:
    if one changes, give it another name, or results that were kept of the old one are taken for its own.

    Args:
        name: In tables and file names.
        module: Maps ``[B, 3, crop, crop]`` to features ``[B, D]``. It is changed in place: frozen, in evaluation mode,
            in float32 and on the device. Give a copy of one that is trained on.
        preprocessing: What the module wants to see.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        LCMemError: A device that this machine does not have.
    """

    def __init__(self, name: str, module: nn.Module, preprocessing: Preprocessing, device: str = "cpu") -> None:
        self.name, self.preprocessing, self.device = name, preprocessing, usable_device(device)
        self.module = module.eval().requires_grad_(False).to(self.device, torch.float32)
        parts = f"{name} {weights_sha256(module)} {preprocessing}{_structure(module)}"
        self.fingerprint = hashlib.sha256(parts.encode()).hexdigest()

    @torch.inference_mode()
    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]``, float32."""
        with full_precision(self.device):
            features: Tensor = self.module(self.preprocessing(pictures.to(self.device)))
        return features.float().cpu()


def _structure(module: nn.Module) -> str:
    """What a network computes beside its weights; "" for one of a library."""
    if _root(module) in LIBRARIES or isinstance(module, torch.jit.ScriptModule):
        return ""
    parts = [part for part in module.modules() if _root(part) not in (*LIBRARIES, "torch")]
    settings = [{name: value for name, value in vars(part).items() if isinstance(value, int | float)} for part in parts]
    code = sorted({_source(type(part)) for part in parts})
    return re.sub(r" at 0x[0-9a-f]+", "", f" {module!r} {settings} {code}")  # where something lies in memory


def _root(module: nn.Module) -> str:
    return type(module).__module__.partition(".")[0]


def _source(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed into a shell
        return kind.__qualname__
