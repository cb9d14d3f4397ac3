"""Open every picture once, whole, before a long job, and say what is doubtful about a set."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lcmem.errors import LowInformationError, PictureError
from lcmem.pictures.content import linked_to
from lcmem.pictures.loading import decode
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar
from lcmem.stats.chance import PARTED


@dataclass
class Inspection:
    """What was found.

    Attributes:
        sizes: Width and height in pixels of the pictures that can be used.
        low: Reason for each picture that shows nothing, and is set aside therefore.
        unreadable: Reason for each picture that cannot be read.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def add(self, found: "tuple[int, int] | PictureError") -> None:
        """Count a picture's size, or why there is none."""
        if isinstance(found, LowInformationError):
            self.low.append(str(found))
        elif isinstance(found, PictureError):
            self.unreadable.append(str(found))
        else:
            self.sizes.append(found)


def inspect_pictures(paths: Sequence[str], *, workers: int | None = None) -> Inspection:
    """Decode every picture.

    Args:
        paths: The pictures.
        workers: As of :func:`lcmem.pictures.loading.decode`.
    """
    inspection = Inspection()
    with progress_bar("opening pictures", len(paths)) as advance:
        for batch in decode(paths, _size, list, batch_size=8, workers=workers):
            for _, found in batch:
                inspection.add(found)
            advance(len(batch))
    return inspection


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[2], picture.shape[1]


def dataset_advice(manifest: Manifest) -> str:
    """What an audit makes of the datasets of a real set; "" of one dataset."""
    table = manifest.table
    people = table["identity"].where(table["identity"] != "").groupby(table["dataset"]).nunique()
    if len(people) < 2:
        return ""
    text = "in an audit each dataset has a threshold of its own"
    few, bare = people.index[people.between(1, PARTED - 1)], people.index[people == 0]
    if len(few):
        text += f"; those of fewer than {PARTED} identities share theirs ({', '.join(few)})"
    if 0 < len(bare) < len(people):
        text += f"; each picture of those without identities counts as a person ({', '.join(bare)})"
    return text


def link_count(manifest: Manifest) -> int:
    """Pictures that are links to the file of another one."""
    return sum(map(bool, linked_to(manifest.paths)))
