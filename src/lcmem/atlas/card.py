"""Which model's features an atlas holds."""

import os
from typing import TYPE_CHECKING

from lcmem.errors import LCMemError
from lcmem.store.card import Card, is_store

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

KIND = "atlas"
FEATURES = "features"
"""Kind of the stores in which jobs keep features."""


def feature_card(detector: "Detector", kind: str = KIND) -> Card:
    """The card of a store of a model's features ``[D]``.

    Args:
        detector: The model.
        kind: ``atlas``, or ``features`` for those of whatever a job was given, which stand for no set of pictures.

    Raises:
        LCMemError: A detector whose features are not worth keeping.
    """
    if not detector.fingerprint:
        raise LCMemError(f"{detector.name}: an atlas of pixels would be as large as the pictures; give these instead")
    maker, about = {"fingerprint": detector.fingerprint}, {"model": detector.name}
    title = f"{detector.name} {detector.fingerprint[:12]}…"
    return Card(kind, maker, title, (detector.dims,), "float32", about)


def is_atlas(source: object) -> bool:
    """Whether this is the folder of an atlas."""
    return isinstance(source, str | os.PathLike) and is_store(source, KIND)
