"""The paper's benchmarks."""

from lcmem.benchmark.copy import benchmark_copy
from lcmem.benchmark.reid import benchmark_reid

__all__ = ["benchmark_copy", "benchmark_reid"]
