"""Public weights that a new network's backbone begins with."""

from pathlib import Path
from typing import Any

import timm

from lcmem.checkpoints import WEIGHTS
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import REGISTRY, load_detector
from lcmem.errors import LCMemError, first_line
from lcmem.hub import hub_file
from lcmem.model import NetworkSettings


def pretrained_weights(source: str, settings: NetworkSettings, allow_download: bool = False) -> dict[str, Any]:
    """Weights of a backbone, fitted to the number of its channels and features.

    Args:
        source: ``timm`` for timm's weights of that name, a detector's name for its weights, or a safetensors file.
        settings: What the network is built from.
        allow_download: Whether they may be downloaded.

    Raises:
        LCMemError: They are not here, or are of another network.
    """
    if source in REGISTRY:
        return _from_detector(source, settings, allow_download)
    path = _from_hub(settings.backbone, allow_download) if source == "timm" else source
    if not Path(path).is_file():
        raise LCMemError(f"network.pretrained={path}: no such file")
    try:
        backbone = _new_backbone(settings, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except Exception as error:  # timm and safetensors raise many kinds on files that do not fit
        raise LCMemError(f"{path}: no weights of {settings.backbone} ({error})") from error
    return dict(backbone.state_dict())


def _from_detector(name: str, settings: NetworkSettings, allow_download: bool) -> dict[str, Any]:
    """Weights of a detector that is a network; the last layer is new."""
    from lcmem.detectors.module import ModuleDetector

    detector = load_detector(name, Options(allow_download=allow_download))
    if not isinstance(detector, ModuleDetector):
        raise LCMemError(f"network.pretrained={name}: that detector is not a network to begin with")
    weights = _new_backbone(settings).state_dict()
    found = detector.module.state_dict()
    unfit = [key for key, value in found.items() if key not in weights or weights[key].shape != value.shape]
    if unfit:
        raise LCMemError(f"network.pretrained={name}: of another network than {settings.backbone} ({unfit[0]})")
    return weights | found


def _new_backbone(settings: NetworkSettings, **options: Any) -> Any:
    return timm.create_model(
        settings.backbone,
        in_chans=settings.channels * settings.unshuffle**2,
        num_classes=settings.features,
        **settings.options,
        **options,
    )


def _from_hub(backbone: str, allow_download: bool) -> Path:
    config = timm.get_pretrained_cfg(backbone)
    name = config.hf_hub_id if config else None
    if not name:
        raise LCMemError(f"timm has no pretrained weights of {backbone}: set network.pretrained to a file, or to ''")
    try:
        return hub_file(name, WEIGHTS, allow_download)
    except Exception as error:  # OSError or a hub error, by what is missing
        failed = f"could not be downloaded ({first_line(error)})"
        problem = failed if allow_download else "are not on this machine; to download them, say --download"
        raise LCMemError(
            f"pretrained weights of {backbone} ({name}) {problem}; or set network.pretrained to a safetensors file of "
            "them, or to '' for random weights"
        ) from error
