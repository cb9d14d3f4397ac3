"""Exhaustive comparison of features, and the atlas that stores them."""

from lcmem.scan.atlas import Atlas
from lcmem.scan.features import FeatureSet, extract_features
from lcmem.scan.kernel import best_matches

__all__ = ["Atlas", "FeatureSet", "best_matches", "extract_features"]
