"""Which detectors there are, where their weights come from, and under which licence."""

from collections.abc import Callable
from dataclasses import dataclass

from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.pixel import NCC, SSIM, NegativeMSE
from lcmem.detectors.trained import TrainedDetector


@dataclass(frozen=True)
class Options:
    """How to load a detector.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        allow_download: Whether weights may be fetched from a hub.
    """

    device: str = "cpu"
    allow_download: bool = False


@dataclass(frozen=True)
class Entry:
    """What is known about a detector before it is loaded.

    Attributes:
        title: In figures.
        family: ``pixel``, ``foundation``, ``task-specific``, ``copy`` or ``lcmem``.
        source: Where it comes from: a paper, a repository, a model's public name.
        licence: Of the weights.
        size: Side of the square of pixels that it sees; None for any.
        weights: ``none``, ``bundled``, ``pypi``, ``hub`` or ``local``.
        load: Makes it.
    """

    title: str
    family: str
    source: str
    licence: str
    size: int | None
    weights: str
    load: Callable[[Options], Detector]


REGISTRY: dict[str, Entry] = {
    "mse": Entry("MSE", "pixel", "pixel-wise", "none", None, "none", lambda _: NegativeMSE()),
    "ncc": Entry("NCC", "pixel", "pixel-wise", "none", None, "none", lambda _: NCC()),
    "ssim": Entry("SSIM", "pixel", "Wang et al. 2004, scikit-image", "BSD-3-Clause", None, "none", lambda _: SSIM()),
}


def load_detector(name: str, options: Options | None = None) -> Detector:
    """A detector by name.

    Args:
        name: One of :data:`REGISTRY`, a bundled checkpoint's name, a checkpoint's folder, or ``NAME=FOLDER`` for a
            checkpoint that is to be called NAME in the tables.
        options: Where to put it, and whether to download.

    Raises:
        LCMemError: Unknown, or its weights are not to be had.
    """
    options = options or Options()
    if name in REGISTRY:
        return REGISTRY[name].load(options)
    title, _, folder = name.rpartition("=")
    model = LCMem.load(folder, device=options.device, allow_download=options.allow_download)
    return TrainedDetector(model, title or model.card["name"])
