"""Other ways to find the nearest pictures, which ``benchmarks/scan.py`` compares the exhaustive scan with.

A library is imported only where its method is measured, or the peak memory of the others would include it.
"""

from collections.abc import Callable

import numpy as np

SUBSAMPLE = {"faiss": 500, "numpy float32": 100, "numba float32": 500, "torch.cdist": 500, "scipy cdist": 200}
"""The methods, and how many queries each is measured on: the slow ones would take hours for all."""


def numba_loop() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    from numba import njit, prange

    @njit(parallel=True, fastmath=True)
    def nearest(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
        best = np.full(len(queries), np.float32(np.inf), dtype=np.float32)
        for i in prange(len(queries)):
            for j in range(len(gallery)):
                total = np.float32(0)
                for k in range(queries.shape[1]):
                    total += abs(queries[i, k] - gallery[j, k])
                best[i] = min(best[i], total)
        return best

    return nearest


def rival(method: str, queries: np.ndarray, gallery: np.ndarray) -> Callable[[int], object]:
    """The nearest of the first so many queries by plain L1; the weights are folded into the features already."""
    if method == "faiss":
        import faiss

        index = faiss.IndexFlat(gallery.shape[1], faiss.METRIC_L1)
        index.add(gallery)
        return lambda count: index.search(queries[:count], 1)
    if method == "torch.cdist":
        import torch

        left, right = torch.from_numpy(queries), torch.from_numpy(gallery)
        return lambda count: [torch.cdist(part, right, p=1).min(1) for part in left[:count].split(256)]
    if method == "scipy cdist":
        from scipy.spatial.distance import cdist

        parts = range(0, len(queries), 100)
        return lambda count: [
            cdist(queries[s : min(s + 100, count)], gallery, "cityblock").min(1) for s in parts if s < count
        ]
    if method == "numba float32":
        nearest = numba_loop()
        return lambda count: nearest(queries[:count], gallery)
    return lambda count: [np.abs(gallery - query).sum(1).min() for query in queries[:count]]
