"""The network that a training starts from."""

import os
from pathlib import Path
from typing import Any

import torch

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import LatentEncoder
from lcmem.errors import CheckpointError, LCMemError
from lcmem.latents import LatentStore
from lcmem.model import SiameseNetwork
from lcmem.training.recipe import Recipe
from lcmem.training.speed import lay_out


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
    _check_fits(network, train.shape, recipe)
    if recipe.network.pretrained:
        network.backbone.load_state_dict(_pretrained(recipe, network, allow_download))
    statistics = train.statistics()
    network.mean.copy_(torch.from_numpy(statistics.mean))
    network.std.copy_(torch.from_numpy(statistics.std))
    lay_out(network)
    return network, []


def load_start(source: str | os.PathLike[str], recipe: Recipe, encoder: LatentEncoder) -> LCMem:
    """The detector to start from.

    Raises:
        CheckpointError: It was trained by a recipe with another network or encoder.
    """
    settings, detector = recipe.network.settings(encoder.card.channels), LCMem.load(source)
    if detector.network.settings != settings:
        raise CheckpointError(f"{source}: of another recipe: {_difference(detector.network.settings, settings)}")
    if detector.encoder.card.sha256 != encoder.card.sha256:
        raise CheckpointError(
            f"{source}: of another recipe: its encoder is {detector.encoder.card.name}, not {encoder.card.name}"
        )
    return detector


def _check_fits(network: SiameseNetwork, shape: tuple[int, int, int], recipe: Recipe) -> None:
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, *shape))
    except RuntimeError as error:  # a kernel that is larger than what is left of the latent
        raise LCMemError(
            f"{recipe.network.backbone} cannot take latents of {shape}: {error}; take a larger size than {recipe.size}"
        ) from error
    network.train()


def _difference(one: Any, other: Any) -> str:
    """The first setting in which two networks differ."""
    name = next(name for name, value in one.to_dict().items() if value != other.to_dict()[name])
    return f"network.{name} is {getattr(one, name)!r} there and {getattr(other, name)!r} here"


def _pretrained(recipe: Recipe, network: SiameseNetwork, allow_download: bool) -> dict[str, Any]:
    """timm's pretrained weights, fitted to the number of channels and features."""
    import timm

    settings = network.settings
    path = recipe.network.pretrained
    if path == "timm":
        path = _from_hub(settings.backbone, allow_download)
    elif not Path(path).is_file():
        raise LCMemError(f"network.pretrained={path}: no such file")
    try:
        backbone = timm.create_model(
            settings.backbone,
            pretrained=True,
            pretrained_cfg_overlay={"file": str(path)},
            in_chans=settings.channels * settings.unshuffle**2,
            num_classes=settings.features,
            **settings.options,
        )
    except Exception as error:  # timm and safetensors raise many kinds on files that do not fit
        raise LCMemError(f"{path}: no weights of {settings.backbone} ({error})") from error
    return backbone.state_dict()


def _from_hub(backbone: str, allow_download: bool) -> str:
    import timm
    from huggingface_hub import hf_hub_download

    config = timm.get_pretrained_cfg(backbone)
    name = config.hf_hub_id if config else None
    if not name:
        raise LCMemError(f"timm has no pretrained weights of {backbone}: set network.pretrained to a file, or to ''")
    try:
        return hf_hub_download(name, "model.safetensors", local_files_only=not allow_download)
    except Exception as error:  # OSError or a hub error, by what is missing
        hint = "" if allow_download else "; to download them, say --download"
        raise LCMemError(
            f"pretrained weights of {backbone} ({name}) are not on this machine{hint}; or set network.pretrained to a "
            "safetensors file of them, or to '' for random weights"
        ) from error
