"""Open every picture once, whole, before a long job, and say what is doubtful about a set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas import Atlas, verify
from lcmem.errors import LCMemError, LowInformationError, PictureError
from lcmem.pictures.content import linked_to
from lcmem.pictures.hints import identity_advice
from lcmem.pictures.loading import decode
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar
from lcmem.stats.chance import PARTED


@dataclass
class Inspection:
    """What was found.

    Attributes:
        sizes: Width and height in pixels of the pictures that can be used.
        low: Path and reason for each picture that shows nothing, and is set aside therefore.
        unreadable: Path and reason for each picture that cannot be read.
    """

    sizes: list[tuple[int, int]] = field(default_factory=list)
    low: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: str, found: "tuple[int, int] | PictureError") -> None:
        """Count a picture's size, or why there is none."""
        if isinstance(found, LowInformationError):
            self.low.append((path, str(found)))
        elif isinstance(found, PictureError):
            self.unreadable.append((path, str(found)))
        else:
            self.sizes.append(found)


@dataclass(frozen=True)
class Checked:
    """All that there is to say about a set of pictures.

    Attributes:
        source: As it was named.
        manifest: The pictures.
        inspection: What was found when they were opened.
        problems: What is wrong with the set: a damaged atlas, an identity in two splits.
        doubts: What was doubtful when it was read.
        advice: What else could be made of it.
    """

    source: str
    manifest: Manifest
    inspection: Inspection
    problems: list[str]
    doubts: list[str]
    advice: list[str]

    @property
    def wrong(self) -> bool:
        """Whether something has to be done about it."""
        return bool(self.problems or self.inspection.unreadable)

    @cached_property
    def links(self) -> int:
        """Pictures that are links to the file of another one."""
        return sum(map(bool, linked_to(self.manifest.paths)))

    @cached_property
    def counts(self) -> pd.DataFrame:
        """``dataset, split, pictures, identities, of_several`` (identities of two or more pictures)."""
        rows = []
        for (dataset, split), part in self.manifest.table.groupby(["dataset", "split"]):
            sizes = part["identity"][part["identity"] != ""].value_counts()
            rows.append((dataset, split, len(part), len(sizes), int((sizes > 1).sum())))
        return pd.DataFrame(rows, columns=["dataset", "split", "pictures", "identities", "of_several"])

    @cached_property
    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """Width and height of the pictures that can be used, and how many have it, the most common ones first."""
        return Counter(self.inspection.sizes).most_common()

    def summary(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        files = {"set_aside": self.inspection.low, "unreadable": self.inspection.unreadable}
        return {
            "source": self.source,
            "wrong": self.wrong,
            "pictures": len(self.manifest),
            "usable": len(self.inspection.sizes),
            "identities": self.manifest.known_identities,
            "datasets": self.counts.to_dict("records"),
            "sizes": [{"width": width, "height": height, "pictures": count} for (width, height), count in self.sizes],
            "links": self.links,
            "not_pictures": dict(self.manifest.ignored),
            "problems": self.problems,
            "doubts": self.doubts,
            "advice": self.advice,
            **{name: [{"path": path, "reason": reason} for path, reason in rows] for name, rows in files.items()},
        }


def check_set(source: str, found: Manifest | Atlas, doubts: list[str], *, workers: int | None = None) -> Checked:
    """Open all pictures of a set.

    Args:
        source: As the user named it.
        found: What was read there.
        doubts: What was doubtful about it.
        workers: Decoding processes.
    """
    problems = verify(found, pictures=True) if isinstance(found, Atlas) else []
    manifest = found.manifest if isinstance(found, Atlas) else found
    advice = [text for text in (identity_advice(manifest), dataset_advice(manifest)) if text]
    inspection = inspect_pictures(manifest.paths, workers=workers)
    try:
        manifest.check_disjoint()
    except LCMemError as error:
        problems.append(str(error))
    return Checked(source, manifest, inspection, problems, doubts, advice)


def inspect_pictures(paths: Sequence[str], *, workers: int | None = None) -> Inspection:
    """Decode every picture.

    Args:
        paths: The pictures.
        workers: As of :func:`lcmem.pictures.loading.decode`.
    """
    inspection = Inspection()
    with progress_bar("opening pictures", len(paths)) as advance:
        for batch in decode(paths, _size, list, batch_size=8, workers=workers):
            for at, found in batch:
                inspection.add(paths[at], found)
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
