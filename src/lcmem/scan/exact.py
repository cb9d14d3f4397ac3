"""Pairs that can matter, scored in float64 by the one scoring function, into the lists of best matches."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lcmem.model import pair_logits
from lcmem.scan.bounds import Rows, Slab, pair_kinds
from lcmem.scan.chunked import Blocks
from lcmem.scan.quantise import Quantiser

NUMBERS = 32_767
"""Features subtracted at once: few enough that torch starts no threads of its own inside ours."""
SAMPLED = 4096
"""Random pairs scored at once."""


@dataclass(frozen=True)
class Matches:
    """Pairs that reach the threshold.

    Attributes:
        query: Positions ``[n]``, int64.
        gallery: Positions ``[n]`` in the whole gallery, int64.
        logit: ``[n]`` float64.
        kind: ``[n]`` int8, see :mod:`lcmem.scan.bounds`.
    """

    query: np.ndarray
    gallery: np.ndarray
    logit: np.ndarray
    kind: np.ndarray

    @classmethod
    def join(cls, parts: "list[Matches]") -> "Matches":
        """All of them, by query and then by gallery position."""
        kinds = {"query": np.int64, "gallery": np.int64, "logit": np.float64, "kind": np.int8}
        empty = {name: np.empty(0, dtype) for name, dtype in kinds.items()}
        columns = {name: np.concatenate([empty[name], *(getattr(part, name) for part in parts)]) for name in kinds}
        order = np.lexsort((columns["gallery"], columns["query"]))
        return cls(**{name: column[order] for name, column in columns.items()})


@dataclass(frozen=True)
class Scorer:
    """The exact score of chosen pairs.

    Attributes:
        quantiser: Turns logits into levels.
        weight: ``[D]``.
        bias: A scalar.
        threshold: +∞ if no matches are asked for.
    """

    quantiser: Quantiser
    weight: torch.Tensor
    bias: torch.Tensor
    threshold: float

    def settle(self, slab: Slab, rows: Rows, candidates: np.ndarray) -> Matches:
        """Score those candidates that still can matter and bring the slab's lists up to date.

        Args:
            slab: The queries.
            rows: The gallery rows.
            candidates: ``[n, 3]``: query within the slab, row within the rows, levels.
        """
        query, row, levels = candidates.astype(np.int64).T
        counted = rows.start + row > slab.start + query if slab.itself else np.ones(len(query), dtype=bool)
        kind = pair_kinds(slab.identities[query], rows.identities[row])
        least = levels - rows.codes.radius[row]
        kept = (least <= slab.bounds()[query, kind]) | (counted & (least <= slab.floor[query]))
        query, row, counted, kind = query[kept], row[kept], counted[kept], kind[kept]
        logit = self.logits(slab.features, rows.features, query, row)
        for lane in range(slab.lanes):
            chosen = slice(None) if lane == 0 else kind == lane
            _merge(slab, lane, query[chosen], rows.start + row[chosen], logit[chosen])
        slab.exact[:] = self.quantiser.reach(slab.logits[:, :, -1]) + slab.codes.radius[:, None]
        hit = counted & (logit >= self.threshold)
        return Matches(slab.start + query[hit], rows.start + row[hit], logit[hit], kind[hit].astype(np.int8))

    def logits(self, queries: np.ndarray, rows: np.ndarray, query: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Scores ``[n]`` of the pairs of these positions."""
        found = np.empty(len(query))
        step = max(NUMBERS // queries.shape[1], 1)
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            left, right = torch.from_numpy(queries[query[part]]), torch.from_numpy(rows[row[part]])
            found[part] = pair_logits(left, right, self.weight, self.bias).numpy()
        return found


def sampled_logits(features: Blocks, first: np.ndarray, second: np.ndarray, weight: Tensor, bias: Tensor) -> np.ndarray:
    """Scores ``[n]`` of the pairs of these positions of one set."""
    found = np.empty(len(first))
    for start in range(0, len(first), SAMPLED):
        part = slice(start, start + SAMPLED)
        left, right = (torch.from_numpy(features.take(rows[part])) for rows in (first, second))
        found[part] = pair_logits(left, right, weight, bias).numpy()
    return found


def _merge(slab: Slab, lane: int, query: np.ndarray, position: np.ndarray, logit: np.ndarray) -> None:
    """Into the list of the k best: higher logits first, of equal ones the lower position."""
    count, k = slab.logits.shape[0], slab.logits.shape[2]
    owner = np.concatenate([np.repeat(np.arange(count), k), query])
    logits = np.concatenate([slab.logits[:, lane].ravel(), logit])
    positions = np.concatenate([slab.positions[:, lane].ravel(), position])
    order = np.lexsort((positions, -logits, owner))
    first = np.searchsorted(owner[order], np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    slab.logits[:, lane], slab.positions[:, lane] = logits[chosen], positions[chosen]
