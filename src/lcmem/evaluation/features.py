"""Features of the benchmarks' pictures, kept by content and detector: a new detector costs only its own encoding."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lcmem.atlas.card import FEATURES
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.locks import alone_in
from lcmem.progress import Advance, progress_bar
from lcmem.store import Card, Store, is_store
from lcmem.store.shards import Writer

BATCH = 64


def cached_features(
    folder: Path,
    detector: Detector,
    variant: str,
    keys: Sequence[str],
    pictures: Callable[[np.ndarray], Tensor],
    advance: Advance | None = None,
) -> Tensor:
    """Features of pictures, embedded only where they are not known.

    Args:
        folder: Where they are kept, a store for each detector and variant; made when needed.
        detector: Whose.
        variant: What was done to the pictures, size included: part of the store's name.
        keys: Content hash of each picture, ``[N]``.
        pictures: Gives the uint8 pictures ``[B, 3, S, S]`` of some positions ``[B]``.
        advance: Of a progress bar that counts all N; by default there is one of those that are embedded.

    Returns:
        ``[N, D]``.

    Raises:
        LCMemError: A feature is not finite.
    """
    place = folder / f"{detector.name}-{detector.fingerprint[:16]}-{variant}"
    store = Store.open(place, FEATURES) if detector.fingerprint and is_store(place, FEATURES) else None
    known = np.zeros(len(keys), dtype=bool) if store is None else store.find(keys)[:, 0] >= 0
    missing = np.flatnonzero(~known)
    if advance is not None:
        advance(len(keys) - len(missing))
    bar = progress_bar(f"{detector.name}: {variant}", len(missing)) if advance is None else nullcontext(advance)
    with bar as embedded:
        batches = _embed(detector, missing, pictures, embedded)
        if not detector.fingerprint:
            return torch.cat([features for _, features in batches] or [torch.empty(0, 0)])
        with alone_in(place):  # several benchmarks may share a cache
            writer: Writer | None = None
            for at, features in batches:
                rows = features.numpy()
                # the first row says how many features there are
                store = store or Store.claim(place, _card(detector, variant, rows[0]))
                writer = writer or store.writer()
                writer.append([keys[position] for position in at], rows)
    if store is None:
        return torch.empty(0, 0)
    store.reload()
    return torch.from_numpy(np.array(store.of(keys)[:]))


def _embed(
    detector: Detector, rows: np.ndarray, pictures: Callable[[np.ndarray], Tensor], advance: Advance
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Positions and features, a batch at a time."""
    for start in range(0, len(rows), BATCH):
        at = rows[start : start + BATCH]
        features = detector.embed(pictures(at))
        if not torch.isfinite(features).all():
            raise LCMemError(f"{detector.name}: features that are not finite (NaN)")
        yield at, features
        advance(len(at))


def _card(detector: Detector, variant: str, row: np.ndarray) -> Card:
    maker = {"fingerprint": detector.fingerprint, "variant": variant}
    return Card(FEATURES, maker, f"{detector.name}: {variant}", row.shape, str(row.dtype), {"model": detector.name})
