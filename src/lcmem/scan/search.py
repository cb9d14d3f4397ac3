"""Looking for single pictures in an atlas."""

from typing import Any

import numpy as np

from lcmem.detectors.lcmem import LCMem
from lcmem.scan.atlas import Atlas
from lcmem.scan.features import extract_features, read_source
from lcmem.scan.kernel import best_matches


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
    gallery = extract_features(atlas, detector, None)
    weight, bias = detector.weight.cpu(), detector.bias.cpu()
    logits, rows = best_matches(detector.features(pictures), gallery.features, weight, bias, k=top_k, title="searching")
    found = []
    for picture, best, at in zip(pictures, logits, rows, strict=True):
        matches = gallery.manifest.table.iloc[at][["path", "identity"]].to_dict("records")
        scores = [{"logit": float(logit), "probability": float(1 / (1 + np.exp(-logit)))} for logit in best]
        found.append({"picture": picture, "matches": [a | b for a, b in zip(matches, scores, strict=True)]})
    return found
