"""What a training starts from: the network, laid out for training, and the arithmetic."""

import os
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from lcmem.detectors.lcmem import LCMem
from lcmem.devices import fast_bfloat16
from lcmem.encoders import LatentEncoder
from lcmem.errors import CheckpointError, LCMemError
from lcmem.latents import LatentStore
from lcmem.latents.store import latent_card
from lcmem.model import SiameseNetwork
from lcmem.model.siamese import TARGET_STD
from lcmem.training.pretrained import pretrained_weights
from lcmem.training.recipe import Arithmetic, Precision, Recipe


def start_network(
    earlier: Path | None, recipe: Recipe, encoder: LatentEncoder, train: LatentStore, allow_download: bool = False
) -> tuple[SiameseNetwork, list[dict[str, Any]]]:
    """The network to train and the record of its earlier stages.

    Args:
        earlier: The detector of the stage before; None: what the recipe says.
        recipe: Its ``start_from`` and ``network``.
        encoder: Of the latents.
        train: Latents of the training pictures: a new network keeps their channel statistics.
        allow_download: Whether timm may download pretrained weights.

    Raises:
        CheckpointError: The detector to start from was trained by a recipe with another network or encoder.
        LCMemError: No pretrained weights, or latents too small for the network.
    """
    source = earlier or recipe.start_from
    if source:
        detector = load_start(source, recipe, encoder)
        network = detector.network.train().requires_grad_(True)
        lay_out(network)
        return network, detector.card["training"]
    network = SiameseNetwork(recipe.network.settings(encoder.card.channels))
    if recipe.network.pretrained:
        weights = pretrained_weights(recipe.network.pretrained, network.settings, allow_download)
        network.backbone.load_state_dict(weights)
    mean, std = _scale(recipe, train)
    network.mean.copy_(mean)
    network.std.copy_(std)
    lay_out(network)
    return network, []


def _scale(recipe: Recipe, train: LatentStore) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[C]`` that a new network brings to 0 and 0.5."""
    if recipe.normalise == "backbone":
        config = timm.get_pretrained_cfg(recipe.network.backbone)
        if config is None:
            raise LCMemError(f"normalise=backbone: timm has no pretrained weights of {recipe.network.backbone}")
        return torch.tensor(config.mean), TARGET_STD * torch.tensor(config.std)
    statistics = train.statistics()
    return torch.from_numpy(statistics.mean), torch.from_numpy(statistics.std)


def load_start(source: str | os.PathLike[str], recipe: Recipe, encoder: LatentEncoder) -> LCMem:
    """The detector to start from.

    Raises:
        CheckpointError: It was trained by a recipe with another network or encoder.
    """
    settings, detector = recipe.network.settings(encoder.card.channels), LCMem.load(source)
    detector.network.without_faces()
    if detector.network.settings != settings:
        raise CheckpointError(f"{source}: of another recipe: {_difference(detector.network.settings, settings)}")
    if detector.encoder.card.sha256 != encoder.card.sha256:
        one, other = (f"{card.name} ({card.sha256[:12]}…)" for card in (detector.encoder.card, encoder.card))
        raise CheckpointError(f"{source}: of another recipe: its encoder is {one}, not {other}; start_from=none")
    return detector


def check_network(recipe: Recipe, encoder: LatentEncoder) -> None:
    """Whether there is such a network, and it takes latents of this size.

    Raises:
        LCMemError: Not so.
    """
    name, factor = recipe.network.backbone, recipe.network.unshuffle
    if ":" not in name and not timm.is_model(name):  # hf-hub:owner/model is elsewhere
        close = get_close_matches(name, timm.list_models(), 1)
        raise LCMemError(f"network.backbone={name}: timm knows no such network" + (f"; {close[0]}?" if close else ""))
    _, *shape = latent_card(encoder.card, recipe.size, 1).shape
    if shape[-1] % factor:
        raise LCMemError(f"network.unshuffle={factor} does not divide latents of {shape[-1]}×{shape[-1]}")
    try:
        network = SiameseNetwork(recipe.network.settings(encoder.card.channels))
    except (RuntimeError, TypeError, ValueError) as error:  # as timm has it
        raise LCMemError(f"{name} cannot be built as network says: {error}") from error
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    except RuntimeError as error:  # a kernel that is larger than what is left of the latent
        raise LCMemError(
            f"{name} cannot take latents of {tuple(shape)}: {error}; take a larger size than {recipe.size}"
        ) from error


def _difference(one: Any, other: Any) -> str:
    """The first setting in which two networks differ."""
    name = next(name for name, value in one.to_dict().items() if value != other.to_dict()[name])
    return f"network.{name} is {getattr(one, name)!r} there and {getattr(other, name)!r} here"


@cache
def _float32_class(kind: Any) -> Any:
    """A subclass of a layer that stays in float32 on CPUs, where autocast would make it bfloat16."""

    class InFloat32(kind):
        def forward(self, input: Tensor) -> Tensor:
            if input.device.type != "cpu":
                return super().forward(input)
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())

    return InFloat32


def lay_out(network: SiameseNetwork) -> None:
    """Channels last, and depthwise convolutions and the last layer in float32 on CPUs; in place.

    On a CPU the gradient of a depthwise kernel takes two to three times as long in bfloat16
    (``benchmarks/training.py``), and the norm that follows wants float32 anyway; features in bfloat16 would have three
    digits. Weights keep their names.
    """
    last = network.last_layer
    for parent in [*network.modules()]:
        for name, child in parent.named_children():
            depthwise = isinstance(child, nn.Conv2d) and child.groups == child.in_channels > 1
            if depthwise or child is last:
                setattr(parent, name, _in_float32(child))
    network.to(memory_format=torch.channels_last)


def _in_float32(layer: nn.Module) -> nn.Module:
    """The same layer, of such a subclass."""
    plain: Any = type(layer)
    kind = _float32_class(plain)
    made: nn.Module = kind.__new__(kind)
    made.__dict__.update(layer.__dict__)
    return made


def precision_for(wanted: Precision, device: str) -> Arithmetic:
    """Lightning's name of the arithmetic.

    Args:
        wanted: That name, or ``auto``: bf16-mixed where the device computes in bfloat16, else 16-mixed on CUDA and
            32-true elsewhere. A CPU without such instructions takes about twenty times as long in bf16-mixed.
        device: As of a training.
    """
    if wanted != "auto":
        return wanted
    if fast_bfloat16(device):
        return "bf16-mixed"
    return "16-mixed" if device.startswith("cuda") else "32-true"
