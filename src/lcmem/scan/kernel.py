"""The k best matches of each query, for features in memory."""

import numpy as np
from torch import Tensor

from lcmem.scan.engine import scan


def best_matches(
    queries: Tensor,
    gallery: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    k: int,
    query_labels: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
    title: str = "comparing",
) -> tuple[np.ndarray, np.ndarray]:
    """The k best matches of each query.

    Args:
        queries: Features ``[Q, D]`` in [0, 1].
        gallery: Features ``[G, D]`` in [0, 1].
        weight: The head's weights ``[D]``.
        bias: The head's bias.
        k: How many; if there are fewer gallery pictures, so many.
        query_labels: ``[Q]`` integers. Pairs of one label are left out, so that a set can be compared with itself.
        gallery_labels: ``[G]`` integers.
        title: Of the progress bar.

    Returns:
        Logits ``[Q, k]`` (float64, best first, −inf where fewer than k pictures remain) and positions ``[Q, k]`` (−1
        there).
    """
    codes: list[np.ndarray | None] = [query_labels, gallery_labels]
    if query_labels is not None and gallery_labels is not None and len(query_labels) and len(gallery_labels):
        lowest = min(query_labels.min(), gallery_labels.min())  # a scan takes −1 for unknown; here it is a label
        codes = [query_labels - lowest, gallery_labels - lowest]
    found = scan(
        queries.numpy(),
        [gallery.numpy()],
        weight,
        bias,
        k=max(min(k, len(gallery)), 1),
        query_codes=codes[0],
        gallery_codes=None if codes[1] is None else [codes[1]],
        title=title,
    )
    best = found.best if found.different is None else found.different
    return best.logits, best.positions
