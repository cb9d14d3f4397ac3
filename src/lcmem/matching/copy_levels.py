"""What copies of the real set's own pictures reach."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import numpy as np
import torch
from PIL import Image

from lcmem.detectors.base import Detector
from lcmem.edits import jpeg_coded
from lcmem.errors import PictureError
from lcmem.matching.compare import highest_score
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.thumbnails import SAME, Thumbnails
from lcmem.pictures.image import load_levels
from lcmem.pictures.paths import MIN_SIDE
from lcmem.store import Encoded, Store, fill

SAMPLED, FEWEST = 64, 3
"""Real pictures that are copied to see what copies reach, and how many must be left."""
MOST_PAIRS = 0.5
"""Share of pairs of different real pictures whose thumbnails agree, from which on these tell nothing."""
BATCH = 64
ROUNDING = 1e-4
"""Scores of one pair, or features of one picture, may differ so much with the batch that they were computed in."""


@dataclass(frozen=True)
class CopyLevels:
    """What the model says of copies.

    Attributes:
        candidate: Score from which a pair is looked at: it is a copy if the thumbnails agree. Below every test copy.
        sure: Score from which a pair counts as a copy without a look; +∞ where pictures can be looked at.
        typical: What half of the test copies reach, of the edit that costs most.
        method: ``edited copies``, ``edited copies, unseen``, ``edited copies of other pictures`` or ``equal pictures``.
    """

    candidate: float
    sure: float
    typical: float
    method: str

    @property
    def can_look(self) -> bool:
        """Whether there are pictures that can be looked at; else only equal ones are copies."""
        return self.candidate < inf


def jpeg_copy(levels: np.ndarray) -> np.ndarray:
    """A picture ``[3, H, W]`` uint8 saved as JPEG of quality 75: ``[H, W, 3]``."""
    return jpeg_coded(levels.transpose(1, 2, 0), 75)


def half_copy(levels: np.ndarray) -> np.ndarray:
    """A picture ``[3, H, W]`` uint8 at half its size, ``[H/2, W/2, 3]``, or as small as pictures may be."""
    picture = Image.fromarray(levels.transpose(1, 2, 0))
    share = max(1 / 2, MIN_SIDE / min(picture.size))
    return np.asarray(picture.resize((int(picture.width * share), int(picture.height * share))))


EDITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"jpeg-75": jpeg_copy, "half size": half_copy}


def measure_copies(
    real: FeatureSet, others: Sequence[FeatureSet], detector: Detector, store: Store | None, thumbnails: Thumbnails
) -> CopyLevels:
    """Make copies of some real pictures and see how alike the model finds them to their originals.

    The sample depends on the pictures' contents alone, so that doubling or renaming pictures does not change it. Where
    real pictures cannot be opened (an atlas without them) those of the other sets are copied, and a pair counts as a
    copy from where half of these copies lie; where there are no pictures at all, only equal ones are copies.

    Args:
        real: The pictures.
        others: The other sets.
        detector: The model.
        store: Where to keep the copies' features; None keeps none.
        thumbnails: What the pictures look like.
    """
    own = highest_score(real.blocks, detector)
    for found in (real, *others):
        levels = [level for edit in EDITS if (level := _level(found, edit, detector, store)) is not None]
        if len(levels) == len(EDITS):
            candidate, typical = (min(each) for each in zip(*levels, strict=True))
            typical = min(typical, own)
            if found is not real:
                return CopyLevels(inf, typical, typical, "edited copies of other pictures")
            if _one_layout(real, thumbnails):
                return CopyLevels(inf, typical, typical, "edited copies, unseen")
            return CopyLevels(min(candidate, own - ROUNDING), inf, typical, "edited copies")
    return CopyLevels(inf, own - ROUNDING, own - ROUNDING, "equal pictures")


def _one_layout(real: FeatureSet, thumbnails: Thumbnails) -> bool:
    """Whether most pictures look the same, seen small, as forms do: then a look tells no copy from another picture."""
    rows = _sample(real)
    one, two = np.triu_indices(len(rows), 1)
    alike = thumbnails.compared(real.paths_of(rows[one]), real.paths_of(rows[two]))
    known = alike[~np.isnan(alike)]
    return len(known) > 0 and float(np.mean(known >= SAME)) > MOST_PAIRS


def _sample(found: FeatureSet) -> np.ndarray:
    """Positions of some pictures that can be opened, each content once, by their contents."""
    distinct = np.unique(np.array(found.keys, dtype=object), return_index=True)[1]
    return distinct[found.openable(distinct)][:SAMPLED]


def _level(found: FeatureSet, edit: str, detector: Detector, store: Store | None) -> tuple[float, float] | None:
    """A score that hardly any copy stays below and the one that half of them reach; None if too few can be made."""
    distinct = _sample(found)
    if not len(distinct):
        return None
    at, features = _edited(found, distinct, edit, detector, store)
    if len(at) < min(FEWEST, len(distinct)):
        return None
    originals = torch.from_numpy(found.blocks.take(distinct[at]))
    scores = detector.similarity(torch.from_numpy(features), originals).double().numpy()
    middle, least = float(np.median(scores)), float(scores.min())
    return least - (middle - least) / 2 - ROUNDING, middle


def _edited(
    real: FeatureSet, rows: np.ndarray, edit: str, detector: Detector, store: Store | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions in ``rows`` of the pictures that could be copied, and the copies' features."""
    paths = real.paths_of(rows)
    encode = partial(_encode, detector=detector, edit=EDITS[edit])
    if store is not None:
        keys = [hashlib.sha256(f"{real.keys[row]}#{edit}".encode()).hexdigest() for row in rows]
        done = fill(store, paths, encode, title="encoding copies", keys=keys)
        return done.stored, np.array(store.of(done.keys)[:])
    batches = list(encode(paths))
    return np.array([at for batch in batches for at in batch.at], dtype=np.int64), np.concatenate(
        [batch.rows for batch in batches]
    )


def _encode(paths: list[str], detector: Detector, edit: Callable[[np.ndarray], np.ndarray]) -> Iterable[Encoded]:
    for start in range(0, len(paths), BATCH):
        at, copies, failures = [], [], []
        for position, path in enumerate(paths[start : start + BATCH], start):
            try:
                copies.append(edit(load_levels(path)))
                at.append(position)
            except PictureError as error:
                failures.append((position, str(error)))
        yield Encoded(at, detector.features(copies).float().numpy(), failures)
