"""Exhaustive comparison of features, and the atlas that stores them."""

from lcmem.scan.atlas import Atlas
from lcmem.scan.features import FeatureSet, extract_features, read_source
from lcmem.scan.filling import Filling, fill_atlas
from lcmem.scan.kernel import best_matches
from lcmem.scan.verify import verify

__all__ = [
    "Atlas",
    "FeatureSet",
    "Filling",
    "best_matches",
    "extract_features",
    "fill_atlas",
    "read_source",
    "verify",
]
