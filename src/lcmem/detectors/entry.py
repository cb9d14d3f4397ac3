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
        dims: Number of features; None where it depends on the pictures or on the training.
    """

    title: str
    family: str
    source: str
    licence: str
    size: int | None
    weights: str
    load: Callable[[Options], Detector]
    dims: int | None = None
