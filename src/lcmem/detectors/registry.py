"""Detectors by name: those of the package, those that other packages bring, and checkpoints. Loads no torch by itself.

A package brings a detector with an entry point of the group ``lcmem.detectors`` (see :mod:`lcmem.plugins`): a class or
a function that is called with :class:`lcmem.detectors.entry.Options` and gives a
:class:`lcmem.detectors.base.Detector`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcmem import plugins
from lcmem.detectors import published
from lcmem.detectors.entry import REGISTRY, Entry, Options
from lcmem.errors import LCMemError

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

__all__ = ["REGISTRY", "check_name", "find_detector", "installed", "known_detectors", "load_detector", "named"]


def installed() -> dict[str, Entry]:
    """Detectors that other packages bring, but for those called like one of the package; none of their code is run."""
    found = {}
    for name, point in plugins.installed(plugins.DETECTORS).items():
        if name in REGISTRY:
            continue
        load = partial(_load, point)
        found[name] = Entry(name, "installed", plugins.origin(point), "see the package", None, "installed", load)
    return found


def known_detectors() -> dict[str, Entry]:
    """All detectors that have a name: those of the package, and those of others."""
    return REGISTRY | installed()


def find_detector(name: str) -> Entry | None:
    """What is known of a detector; those of other packages are looked for only where the package has none."""
    return REGISTRY.get(name) or installed().get(name)


def _load(point: EntryPoint, options: Options) -> Detector:
    from lcmem.detectors.base import Detector

    return plugins.load_plugin(point, Detector, lambda make: make(options))  # type: ignore[type-abstract]


def named(name: str) -> tuple[str, str]:
    """Title and place of ``NAME=PLACE``; the place alone where that is a folder, whatever it is called."""
    title, equals, place = name.partition("=")
    return (title, place) if equals and not Path(name).is_dir() else ("", name)


def check_name(name: str) -> None:
    """Whether a name can be that of a detector: quick, before anything else is read.

    Raises:
        LCMemError: It is neither a known detector, nor ``NAME=PLACE``, nor a folder.
    """
    known = known_detectors()
    if name in known or "=" in name or Path(name).exists():
        return
    close = get_close_matches(name, known, 1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise LCMemError(f"{name}: neither a detector that lcmem detectors lists nor the folder of a checkpoint{meant}")


def _loaded(detector: Any, options: Options) -> Detector:
    from lcmem.detectors.base import Detector

    if not isinstance(detector, Detector):
        raise LCMemError(f"a detector is a name, a folder or a lcmem.Detector, not {type(detector).__name__}")
    movable = "device" in vars(detector) or type(detector).device != Detector.device  # others know the CPU only
    if movable and options.device.partition(":")[0] not in ("cpu", detector.device.type):
        raise LCMemError(
            f"{detector.name} is on {detector.device} and {options.device} is asked for: load it there, or leave the "
            "device out"
        )
    return detector


def load_detector(name: str | os.PathLike[str] | Detector, options: Options | None = None) -> Detector:
    """A detector by name.

    Args:
        name: One of :data:`REGISTRY` or :func:`installed`; ``NAME=PATH`` for one of them whose weights are in a file or
            folder of your own; a checkpoint's folder; ``NAME=FOLDER`` for a checkpoint that is to be called NAME in the
            tables. A loaded detector comes back as it is.
        options: Where to put it, and whether to download.

    Raises:
        LCMemError: Unknown, or its weights are not available; or it is loaded on another device than is asked for.
    """
    options = options or Options()
    if not isinstance(name, str | os.PathLike):
        return _loaded(name, options)
    name = os.fspath(name)
    title, place = named(name)
    known = find_detector(name)
    if known is not None:
        return known.load(options)
    own = find_detector(title)
    if own is not None and own.weights in ("hub", "installed"):
        return own.load(replace(options, weights=place))
    if own is not None and own.weights != "local":
        raise LCMemError(f"{name}: {title} is a detector of its own that takes no other weights; choose another name")
    return published.load_trained(replace(options, weights=place), title)
