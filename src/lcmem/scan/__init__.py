"""Exhaustive comparison of features, and the atlas that stores them."""

from lcmem.scan.atlas import Atlas
from lcmem.scan.engine import scan
from lcmem.scan.features import FeatureSet, extract_features
from lcmem.scan.groups import connected_components
from lcmem.scan.kernel import best_matches
from lcmem.scan.result import Best, Histogram, ScanResult

__all__ = [
    "Atlas",
    "Best",
    "FeatureSet",
    "Histogram",
    "ScanResult",
    "best_matches",
    "connected_components",
    "extract_features",
    "scan",
]
