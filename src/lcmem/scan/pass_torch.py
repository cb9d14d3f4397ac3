"""The byte pass in torch: for GPUs, and where Numba is not installed. It finds the same pairs.

Bytes are compared as float32. Every partial sum is an integer below 2²⁴ (65 793 bytes), so ``torch.cdist`` is exact in
any order of summation, and both passes see the same distances.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from lcmem.errors import LCMemError
from lcmem.scan.bounds import DIFFERENT, NOTHING_YET, SAME, Bins, GalleryBlock, QueryBlock

QUERIES, GALLERY = 256, 4096
WIDEST = 2**24 // 255


def _distances(queries: Tensor, rows: Tensor, split: int) -> Tensor:
    found = torch.cdist(queries[:, :split], rows[:, :split], p=1)
    if split < queries.shape[1]:
        found -= torch.cdist(queries[:, split:], rows[:, split:], p=1)
    return found.to(torch.int64)


def _kinds(queries: QueryBlock, identities: np.ndarray, device: str) -> Tensor:
    """``[Q, G]``."""
    own = torch.from_numpy(queries.identities).to(device)[:, None]
    others = torch.from_numpy(identities).to(device)[None]
    return torch.where((own >= 0) & (others >= 0), torch.where(own == others, SAME, DIFFERENT), 0)


def find_candidates(
    queries: QueryBlock, rows: GalleryBlock, split: int, bins: Bins, counts: np.ndarray, device: str = "cpu"
) -> Iterator[np.ndarray]:
    """As :func:`lcmem.scan.pass_numba.find_candidates`, on a device."""
    if queries.codes.levels.shape[1] > WIDEST:
        raise LCMemError(f"more than {WIDEST} features need Numba: pip install 'lcmem[fast]', and device 'cpu'")
    query_levels = torch.from_numpy(queries.codes.levels).to(device).float()
    mine = queries.start + torch.arange(len(query_levels), device=device)[:, None]
    for start in range(0, len(rows.codes.radius), GALLERY):
        part = slice(start, start + GALLERY)
        levels = _distances(query_levels, torch.from_numpy(rows.codes.levels[part]).to(device).float(), split)
        kinds = _kinds(queries, rows.identities[part], device)
        theirs = rows.start + start + torch.arange(levels.shape[1], device=device)[None]
        counted = theirs > mine if queries.itself else torch.ones_like(levels, dtype=torch.bool)
        cells = (kinds * bins.count + ((levels - bins.low) >> bins.shift))[counted]
        counts += torch.bincount(cells, minlength=3 * bins.count).reshape(3, -1).cpu().numpy()
        radius = torch.from_numpy(rows.codes.radius[part]).to(device)[None]
        allowed = theirs != mine if queries.itself else torch.ones_like(counted)
        _update_upper(queries, (levels + radius).masked_fill(~allowed, NOTHING_YET), kinds)
        bounds = torch.from_numpy(queries.bounds()).to(device).gather(1, kinds)
        floor = torch.from_numpy(queries.floor).to(device)[:, None]
        least = levels - radius
        query, row = torch.nonzero(allowed & ((least <= bounds) | (counted & (least <= floor))), as_tuple=True)
        yield torch.stack([query, row + start, levels[query, row]], 1).cpu().numpy().astype(np.int32)


def _update_upper(queries: QueryBlock, most: Tensor, kinds: Tensor) -> None:
    k = queries.upper.shape[2]
    for lane in range(queries.lanes):
        own = most if lane == 0 else most.masked_fill(kinds != lane, NOTHING_YET)
        best = own.topk(min(k, own.shape[1]), dim=1, largest=False).values.cpu().numpy()
        queries.upper[:, lane] = np.sort(np.concatenate([queries.upper[:, lane], best], 1), axis=1)[:, :k]
