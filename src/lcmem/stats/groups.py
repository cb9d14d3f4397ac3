"""Groups of what is connected, directly or through others."""

import numpy as np
from scipy.sparse import coo_matrix, csgraph

from lcmem.errors import LCMemError


def connected_components(pairs: np.ndarray, n: int) -> np.ndarray:
    """Which of n are connected.

    Args:
        pairs: Positions ``[P, 2]`` of what is connected, each in [0, n), in either order.
        n: How many there are.

    Returns:
        The group of each ``[n]``, numbered from 0 in the order of their first members. What is connected with nothing
        is a group of its own.

    Raises:
        LCMemError: A position outside [0, n).
    """
    pairs = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    if len(pairs) and not (pairs.min() >= 0 and pairs.max() < n):
        raise LCMemError(f"positions of pairs must lie in [0, {n}); these go from {pairs.min()} to {pairs.max()}")
    graph = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    found = csgraph.connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
