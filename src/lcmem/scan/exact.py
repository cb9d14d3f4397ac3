"""Exact scores (float64) of the candidates of the byte pass, and the lists of best matches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lcmem.model import Head, pair_logits
from lcmem.scan.bounds import NOTHING_YET, GalleryBlock, QueryBlock, pair_kinds
from lcmem.scan.quantise import Codes, Quantiser

NUMBERS = 32_767
"""Features subtracted at once: few enough that torch starts no threads of its own inside ours."""
Similarity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        """All matches of the parts, sorted by query and then by gallery position."""
        kinds = {"query": np.int64, "gallery": np.int64, "logit": np.float64, "kind": np.int8}
        empty = {name: np.empty(0, dtype) for name, dtype in kinds.items()}
        columns = {name: np.concatenate([empty[name], *(getattr(part, name) for part in parts)]) for name in kinds}
        order = np.lexsort((columns["gallery"], columns["query"]))
        return cls(**{name: column[order] for name, column in columns.items()})


@dataclass(frozen=True)
class ExactScorer:
    """Scores chosen pairs exactly.

    Attributes:
        quantiser: Turns logits into levels.
        weight: The head's weights ``[D]``, on the CPU.
        bias: The head's bias, a scalar.
        threshold: Logit from which a pair is a match; +∞ if no matches are asked for.
    """

    quantiser: Quantiser
    weight: torch.Tensor
    bias: torch.Tensor
    threshold: float

    @classmethod
    def of(cls, head: Head, threshold: float) -> "ExactScorer":
        """That of a head."""
        weight, bias = head.weight.detach().cpu(), head.bias.detach().cpu()
        return cls(Quantiser(weight.numpy(), float(bias)), weight, bias, threshold)

    def query_block(
        self,
        features: np.ndarray,
        codes: Codes,
        logits: np.ndarray,
        positions: np.ndarray,
        *,
        start: int = 0,
        identities: np.ndarray | None = None,
        itself: bool = False,
    ) -> QueryBlock:
        """Queries with the bounds that follow from their lists of best matches; None: no identities are known."""
        radius = codes.radius.astype(np.int64)
        return QueryBlock(
            start=start,
            features=features,
            codes=codes,
            identities=np.full(len(radius), -1) if identities is None else identities,
            logits=logits,
            positions=positions,
            upper=np.full(logits.shape, NOTHING_YET, dtype=np.int64),
            exact=self.quantiser.reach(logits[:, :, -1]) + radius[:, None],
            floor=self.quantiser.reach(self.threshold) + radius,
            itself=itself,
        )

    def score_candidates(self, queries: QueryBlock, rows: GalleryBlock, candidates: np.ndarray) -> Matches:
        """Score the candidates that can still enter a list or reach the threshold, and update the queries' lists.

        Args:
            queries: The queries; their lists of best matches are changed.
            rows: The gallery rows.
            candidates: ``[n, 3]``: position within the queries, position within the rows, levels.

        Returns:
            The pairs that reach the threshold.
        """
        query, row, levels = candidates.astype(np.int64).T
        counted = rows.start + row > queries.start + query if queries.itself else np.ones(len(query), dtype=bool)
        kind = pair_kinds(queries.identities[query], rows.identities[row])
        least = levels - rows.codes.radius[row]
        kept = (least <= queries.bounds()[query, kind]) | (counted & (least <= queries.floor[query]))
        query, row, counted, kind = query[kept], row[kept], counted[kept], kind[kept]
        logit = self.logits(queries.features, rows.features, query, row)
        for lane in range(queries.lanes):
            chosen = slice(None) if lane == 0 else kind == lane
            lists = queries.logits[:, lane], queries.positions[:, lane]
            merge_best(*lists, query[chosen], rows.start + row[chosen], logit[chosen])
        queries.exact[:] = self.quantiser.reach(queries.logits[:, :, -1]) + queries.codes.radius[:, None]
        hit = counted & (logit >= self.threshold)
        return Matches(queries.start + query[hit], rows.start + row[hit], logit[hit], kind[hit].astype(np.int8))

    def logits(self, queries: np.ndarray, rows: np.ndarray, query: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Scores ``[n]`` of the pairs (query[i], row[i]) of features ``[Q, D]`` and ``[G, D]``."""
        found = np.empty(len(query))
        step = max(NUMBERS // queries.shape[1], 1)
        for start in range(0, len(query), step):
            part = slice(start, start + step)
            left, right = torch.from_numpy(queries[query[part]]), torch.from_numpy(rows[row[part]])
            found[part] = pair_logits(left, right, self.weight, self.bias).numpy()
        return found


def merge_best(
    logits: np.ndarray, positions: np.ndarray, query: np.ndarray, position: np.ndarray, logit: np.ndarray
) -> None:
    """Merge scored pairs into lists of the k best: higher logits first, of equal ones the lower position.

    Args:
        logits: ``[Q, k]``, changed.
        positions: ``[Q, k]``, changed.
        query: The list that each pair belongs to, ``[n]``.
        position: Position of each pair's gallery row, ``[n]``.
        logit: Score of each pair, ``[n]``.
    """
    count, k = logits.shape
    owner = np.concatenate([np.repeat(np.arange(count), k), query])
    all_logits = np.concatenate([logits.ravel(), logit])
    all_positions = np.concatenate([positions.ravel(), position])
    order = np.lexsort((all_positions, -all_logits, owner))
    first = np.searchsorted(owner[order], np.arange(count))
    chosen = order[first[:, None] + np.arange(k)]
    logits[:], positions[:] = all_logits[chosen], all_positions[chosen]
