"""What other packages bring to this one, by entry points: detectors, encoders and datasets.

A package that brings one of each says in its ``pyproject.toml``::

    [project.entry-points."lcmem.detectors"]
    mine = "my_package.detector:MyDetector"

    [project.entry-points."lcmem.encoders"]
    my-vae = "my_package.encoder:MyEncoder"

    [project.entry-points."lcmem.datasets"]
    my-hospital = "my_package.dataset:MY_HOSPITAL"
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from lcmem.errors import LCMemError

DETECTORS, ENCODERS, DATASETS = "lcmem.detectors", "lcmem.encoders", "lcmem.datasets"

Made = TypeVar("Made")


def installed(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name; none of their code is run."""
    return {point.name: point for point in entry_points(group=group)}


def origin(point: EntryPoint) -> str:
    """The package and the place in it that an entry point names."""
    return f"{point.dist.name if point.dist else '?'}, {point.value}"


def load_plugin(point: EntryPoint, kind: type[Made], make: Callable[[Any], Any]) -> Made:
    """What another package brings.

    Args:
        point: Its entry point.
        kind: What it has to be.
        make: Makes it of what the entry point names.

    Raises:
        LCMemError: It cannot be imported or made, or is something else; the message names the entry point.
    """
    try:
        made = make(point.load())
    except Exception as error:  # whatever another package does wrong
        raise LCMemError(f"{point.name}: {point.value} cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(made, kind):
        raise LCMemError(f"{point.name}: {point.value} made a {type(made).__name__}, not a {kind.__name__}")
    return made
