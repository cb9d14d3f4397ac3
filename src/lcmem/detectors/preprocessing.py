"""What a published model wants to see: another size, a crop, other means."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the centre, scale to [0, 1], normalise: in this order, as torchvision and timm do.

    Attributes:
        resize: Side in pixels that a picture is resized to.
        crop: Side of what is then kept of its centre.
        interpolation: ``bilinear`` or ``bicubic``; always with antialiasing.
        mean: Of each channel of pictures in [0, 1].
        std: Of each channel.
    """

    resize: int
    crop: int
    interpolation: str = "bilinear"
    mean: Channels = IMAGENET_DEFAULT_MEAN
    std: Channels = IMAGENET_DEFAULT_STD

    def __call__(self, pictures: Tensor) -> Tensor:
        """Uint8 ``[B, 3, S, S]`` to float ``[B, 3, crop, crop]``."""
        size, mode = [self.resize, self.resize], InterpolationMode(self.interpolation)
        pictures = functional.center_crop(functional.resize(pictures, size, mode, antialias=True), [self.crop])
        return functional.normalize(functional.to_dtype(pictures, torch.float32, scale=True), self.mean, self.std)

    @classmethod
    def of_timm(cls, config: dict[str, Any]) -> "Preprocessing":
        """From what ``timm.data.resolve_model_data_config`` says of a model."""
        crop = config["input_size"][-1]
        scaled = math.floor(crop / config["crop_pct"])
        return cls(scaled, crop, config["interpolation"], tuple(config["mean"]), tuple(config["std"]))
