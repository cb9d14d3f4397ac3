"""Which model's features an atlas holds."""

from pathlib import Path
from typing import TYPE_CHECKING

from lcmem.store.card import Card

if TYPE_CHECKING:
    from lcmem.detectors.lcmem import LCMem

KIND, CARD = "atlas", "atlas.json"


def feature_card(detector: "LCMem", kind: str = KIND) -> Card:
    """The card of a store of a model's features ``[D]``.

    Args:
        detector: The model.
        kind: ``atlas``, or ``features`` for those of whatever a job was given, which stand for no set of pictures.
    """
    name, fingerprint = str(detector.card["name"]), detector.fingerprint
    maker, about = {"fingerprint": fingerprint}, {"model": name}
    return Card(kind, maker, f"{name} {fingerprint[:12]}…", (len(detector.weight),), "float32", about)


def is_atlas(source: object) -> bool:
    """Whether this is the folder of an atlas."""
    return isinstance(source, str | Path) and (Path(source) / CARD).is_file()
