"""The paper's benchmarks."""

from lcmem.benchmark.reid import benchmark_reid

__all__ = ["benchmark_reid"]
