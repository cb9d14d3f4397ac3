"""Exhaustive comparison of features, and the atlas that stores them."""

from lcmem.scan.atlas import Atlas
from lcmem.scan.blocks import Blocks
from lcmem.scan.engine import scan
from lcmem.scan.features import FeatureSet, extract_features, read_source
from lcmem.scan.filling import Filling, fill_atlas
from lcmem.scan.groups import connected_components
from lcmem.scan.result import Best, Histogram, ScanResult
from lcmem.scan.verify import verify

__all__ = [
    "Atlas",
    "Best",
    "Blocks",
    "FeatureSet",
    "Filling",
    "Histogram",
    "ScanResult",
    "connected_components",
    "extract_features",
    "fill_atlas",
    "read_source",
    "scan",
    "verify",
]
