"""Looking for single pictures in an atlas."""

from typing import Any

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.matching.compare import compare, probabilities
from lcmem.matching.features import read_source
from lcmem.pictures.set_depth import alike


def search_atlas(atlas: Atlas, pictures: list[str], detector: Detector, top_k: int) -> list[dict[str, Any]]:
    """The best matches of each picture.

    Args:
        atlas: Where to look.
        pictures: Paths.
        detector: The atlas's model.
        top_k: Matches for each picture.

    Returns:
        For each picture ``picture`` and ``matches``: ``path, identity, logit, probability``, best first. JSON-ready.
        Of a detector without a head ``logit`` is its similarity and there is no ``probability``.

    Raises:
        PictureError: A picture cannot be read.
        LCMemError: An atlas of another model, without pictures, or with a damaged shard.
    """
    read_source(atlas)
    atlas.check(detector)
    queries, k = detector.features(alike(pictures, atlas)).numpy(), min(top_k, len(atlas))
    best = compare(queries, atlas.blocks(), detector, k=k, title="searching").best
    found = []
    for picture, logits, rows in zip(pictures, best.logits, best.positions, strict=True):
        matches = atlas.rows(rows)[["path", "identity"]].to_dict("records")
        scores = [{"logit": logit} for logit in logits.tolist()]
        if detector.head is not None:
            for score, probability in zip(scores, probabilities(logits, detector).tolist(), strict=True):
                score["probability"] = probability
        found.append({"picture": picture, "matches": [a | b for a, b in zip(matches, scores, strict=True)]})
    return found
