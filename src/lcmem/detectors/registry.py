"""Detectors by name: those of the package, those that other packages bring, and checkpoints. Loads no torch by itself.

A package brings a detector with an entry point of the group ``lcmem.detectors``: a class or a function that is called
with :class:`lcmem.detectors.entry.Options` and gives a :class:`lcmem.detectors.base.Detector`::

    [project.entry-points."lcmem.detectors"]
    mine = "my_package.my_module:MyDetector"
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from lcmem.detectors import published
from lcmem.detectors.entry import REGISTRY, Entry, Options
from lcmem.errors import LCMemError

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

__all__ = ["GROUP", "REGISTRY", "check_name", "installed", "load_detector", "named"]

GROUP = "lcmem.detectors"
"""The group of entry points that bring detectors."""


def installed() -> dict[str, Entry]:
    """Detectors that other packages bring; none of their code is run."""
    found = {}
    for point in entry_points(group=GROUP):
        source = f"{point.dist.name if point.dist else '?'}, {point.value}"
        load = partial(_load_installed, point=point)
        found[point.name] = Entry(point.name, "installed", source, "see the package", None, "installed", load)
    return found


def _load_installed(options: Options, point: EntryPoint) -> Detector:
    from lcmem.detectors.base import Detector

    try:
        made = point.load()(options)
    except Exception as error:  # whatever another package does wrong
        raise LCMemError(f"{point.name}: {point.value} cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(made, Detector):
        raise LCMemError(f"{point.name}: {point.value} made a {type(made).__name__}, not a Detector")
    return made


def named(name: str) -> tuple[str, str]:
    """Title and place of ``NAME=PLACE``; the place alone where that is a folder, whatever it is called."""
    title, equals, place = name.partition("=")
    return (title, place) if equals and not Path(name).is_dir() else ("", name)


def check_name(name: str) -> None:
    """Whether a name can be that of a detector: quick, before anything else is read.

    Raises:
        LCMemError: It is neither a known detector, nor ``NAME=PLACE``, nor a folder.
    """
    known = REGISTRY | installed()
    if name in known or "=" in name or Path(name).exists():
        return
    close = get_close_matches(name, known, 1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise LCMemError(f"{name}: neither a detector that lcmem detectors lists nor the folder of a checkpoint{meant}")


def load_detector(name: str | Detector, options: Options | None = None) -> Detector:
    """A detector by name.

    Args:
        name: One of :data:`REGISTRY` or :func:`installed`; ``NAME=PATH`` for one of them whose weights are in a file or
            folder of your own; a checkpoint's folder; ``NAME=FOLDER`` for a checkpoint that is to be called NAME in the
            tables. A loaded detector comes back as it is.
        options: Where to put it, and whether to download.

    Raises:
        LCMemError: Unknown, or its weights are not available.
    """
    if not isinstance(name, str):
        return name
    options = options or Options()
    title, place = named(name)
    known = REGISTRY.get(name) or installed().get(name)
    if known is not None:
        return known.load(options)
    own = REGISTRY.get(title) or installed().get(title)
    if own is not None and own.weights in ("hub", "installed"):
        return own.load(replace(options, weights=place))
    return published.load_trained(replace(options, weights=place), title)
