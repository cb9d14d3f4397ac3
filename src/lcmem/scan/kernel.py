"""The exhaustive pair kernel: every query against every gallery picture, in tiles, in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lcmem.model import pair_logits
from lcmem.progress import progress_bar

QUERY_TILE, GALLERY_TILE = 256, 4096
SPARE = 8
"""Tiles are float32; so many more candidates than asked for are scored again in float64 before the best are taken."""


def tile_logits(queries: Tensor, gallery: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Logits ``[Q, G]`` in float32 of ``[Q, D]`` against ``[G, D]``.

    ``|w_k|`` is folded into the features; dimensions with a negative weight (linear head) are split off.
    """
    scale = weight.abs()
    distance = torch.zeros(len(queries), len(gallery), device=queries.device)
    for part, sign in ((weight > 0, 1), (weight < 0, -1)):
        if part.any():
            distance += sign * torch.cdist(queries[:, part] * scale[part], gallery[:, part] * scale[part], p=1)
    return bias - distance


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
        queries: Features ``[Q, D]``.
        gallery: Features ``[G, D]``.
        weight: The head's weights ``[D]``.
        bias: The head's bias.
        k: At most G.
        query_labels: ``[Q]`` integers. Pairs of one label are left out, so that a set can be compared with itself.
        gallery_labels: ``[G]`` integers.
        title: Of the progress bar.

    Returns:
        Logits ``[Q, k]`` (float64, best first, −inf where fewer than k pictures remain) and positions ``[Q, k]``.
    """
    k = min(k, len(gallery))
    logits, positions = [], []
    with progress_bar(title, len(queries) * len(gallery)) as advance:
        for tile, labels in _tiles(queries, query_labels):
            best, where = _candidates(tile, gallery, weight, bias, min(k + SPARE, len(gallery)), labels, gallery_labels)
            exact = pair_logits(tile[:, None], gallery[where], weight, bias)
            exact[best == float("-inf")] = float("-inf")
            order = exact.argsort(dim=1, descending=True, stable=True)[:, :k]
            logits.append(exact.gather(1, order).numpy())
            positions.append(where.gather(1, order).numpy())
            advance(len(tile) * len(gallery))
    if not logits:
        return np.empty((0, k)), np.empty((0, k), dtype=int)
    return np.concatenate(logits), np.concatenate(positions)


def _tiles(queries: Tensor, labels: np.ndarray | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    for start in range(0, len(queries), QUERY_TILE):
        stop = start + QUERY_TILE
        yield queries[start:stop], None if labels is None else torch.from_numpy(labels[start:stop])


def _candidates(
    tile: Tensor,
    gallery: Tensor,
    weight: Tensor,
    bias: Tensor,
    k: int,
    labels: Tensor | None,
    gallery_labels: np.ndarray | None,
) -> tuple[Tensor, Tensor]:
    """The k best of each query by float32 logits: ``[q, k]`` logits and positions."""
    best = torch.empty(len(tile), 0)
    where = torch.empty(len(tile), 0, dtype=torch.long)
    for start in range(0, len(gallery), GALLERY_TILE):
        logits = tile_logits(tile, gallery[start : start + GALLERY_TILE], weight, bias)
        if labels is not None and gallery_labels is not None:
            others = torch.from_numpy(gallery_labels[start : start + GALLERY_TILE])
            logits.masked_fill_(labels[:, None] == others[None], float("-inf"))
        top, at = logits.topk(min(k, logits.shape[1]), dim=1)
        best, where = torch.cat((best, top), 1), torch.cat((where, at + start), 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        where = where.gather(1, order)
    return best, where
