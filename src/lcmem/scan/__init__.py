"""Exhaustive comparison of features: arrays and a head in, best matches, counts and a histogram out."""

from lcmem.scan.chunked import ChunkedRows
from lcmem.scan.engine import scan
from lcmem.scan.result import Best, Histogram, ScanResult
from lcmem.scan.tiles import scan_tiles

__all__ = ["Best", "ChunkedRows", "Histogram", "ScanResult", "scan", "scan_tiles"]
