"""Public weights that a new network's backbone begins with."""

from pathlib import Path
from typing import Any

import timm

from lcmem.errors import LCMemError
from lcmem.model import NetworkSettings


def pretrained_weights(source: str, settings: NetworkSettings, allow_download: bool = False) -> dict[str, Any]:
    """Weights of a backbone, fitted to the number of its channels and features.

    Args:
        source: ``timm`` for timm's weights of that name, or a safetensors file of them.
        settings: What the network is built from.
        allow_download: Whether they may be downloaded.

    Raises:
        LCMemError: They are not here, or are of another network.
    """
    path = _from_hub(settings.backbone, allow_download) if source == "timm" else source
    if not Path(path).is_file():
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
