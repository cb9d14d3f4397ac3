"""Exhaustive, exact comparison of features: arrays and a head in, the best matches out."""

from lcmem.scan.chunked import Blocks
from lcmem.scan.engine import scan
from lcmem.scan.result import Best, Histogram, ScanResult

__all__ = ["Best", "Blocks", "Histogram", "ScanResult", "scan"]
