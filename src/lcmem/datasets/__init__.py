"""Known data sets: their layout on disk becomes a Manifest."""

from collections.abc import Callable
from pathlib import Path

from lcmem.datasets.open_pack import read_open_pack
from lcmem.errors import LCMemError
from lcmem.manifest import Manifest

LAYOUTS: dict[str, Callable[[Path], Manifest]] = {"open-pack": read_open_pack}


def read_dataset(layout: str, root: Path) -> Manifest:
    """The pictures of a data set in one of the :data:`LAYOUTS`.

    Raises:
        LCMemError: An unknown layout, or ``root`` is laid out otherwise.
    """
    if layout not in LAYOUTS:
        raise LCMemError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](root)
