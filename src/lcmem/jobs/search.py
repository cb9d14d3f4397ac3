"""Looking for single pictures in an atlas."""

from typing import Any

from scipy.special import expit

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.lcmem import LCMem
from lcmem.jobs.features import read_source
from lcmem.scan.engine import scan


def search_atlas(atlas: Atlas, pictures: list[str], detector: LCMem, top_k: int) -> list[dict[str, Any]]:
    """The best matches of each picture.

    Args:
        atlas: Where to look.
        pictures: Paths.
        detector: The atlas's model.
        top_k: Matches for each picture.

    Returns:
        For each picture ``picture`` and ``matches``: ``path, identity, logit, probability``, best first. JSON-ready.

    Raises:
        PictureError: A picture cannot be read.
        LCMemError: An atlas of another model, without pictures, or with a damaged shard.
    """
    read_source(atlas)
    atlas.check(detector)
    queries, k = detector.features(pictures).numpy(), min(top_k, len(atlas))
    best = scan(queries, atlas.blocks(), detector.weight, detector.bias, k=k, title="searching").best
    found = []
    for picture, logits, rows in zip(pictures, best.logits, best.positions, strict=True):
        matches = atlas.rows(rows)[["path", "identity"]].to_dict("records")
        scores = [{"logit": float(logit), "probability": float(expit(logit))} for logit in logits]
        found.append({"picture": picture, "matches": [a | b for a, b in zip(matches, scores, strict=True)]})
    return found
