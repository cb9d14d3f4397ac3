"""Features of the benchmarks' pictures, kept by content and detector: a new detector costs only its own encoding."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import replacing
from lcmem.progress import Advance, progress_bar

BATCH = 64


class FeatureCache:
    """A folder with one Parquet file for each detector and variant of the pictures.

    Args:
        folder: Where; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def features(
        self,
        detector: Detector,
        variant: str,
        keys: Sequence[str],
        pictures: Callable[[np.ndarray], Tensor],
        advance: Advance | None = None,
    ) -> Tensor:
        """Features of pictures, embedded only where they are not known.

        Args:
            detector: Whose.
            variant: What was done to the pictures, size included: part of the file's name.
            keys: Content hash of each picture, ``[N]``.
            pictures: Gives the uint8 pictures ``[B, 3, S, S]`` of some positions ``[B]``.
            advance: Of a progress bar that counts all N; by default there is one of those that are embedded.

        Returns:
            ``[N, D]``.

        Raises:
            LCMemError: A feature is not finite.
        """
        path = self.folder / f"{detector.name}-{detector.fingerprint[:16]}-{variant}.parquet"
        known = _read(path) if detector.fingerprint else {}
        missing = np.array([at for at, key in enumerate(keys) if key not in known], dtype=np.int64)
        if advance is not None:
            advance(len(keys) - len(missing))
        bar = progress_bar(f"{detector.name}: {variant}", len(missing)) if advance is None else nullcontext(advance)
        with bar as embedded:
            fresh = _embed(detector, missing, pictures, embedded)
        if detector.fingerprint and len(missing):
            known |= {keys[at]: row for at, row in zip(missing, fresh.numpy(), strict=True)}
            _write(path, known)
        if not detector.fingerprint:
            return fresh
        return torch.from_numpy(np.stack([known[key] for key in keys]))


def _embed(detector: Detector, rows: np.ndarray, pictures: Callable[[np.ndarray], Tensor], advance: Advance) -> Tensor:
    parts = []
    for start in range(0, len(rows), BATCH):
        at = rows[start : start + BATCH]
        parts.append(detector.embed(pictures(at)))
        if not torch.isfinite(parts[-1]).all():
            raise LCMemError(f"{detector.name}: features that are not finite (NaN)")
        advance(len(at))
    return torch.cat(parts) if parts else torch.empty(0, 0)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    table = pq.read_table(path)
    features = table["feature"].combine_chunks()
    rows = features.flatten().to_numpy().reshape(len(features), -1)
    return dict(zip(table["sha256"].to_pylist(), rows, strict=True))


def _write(path: Path, known: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.stack([*known.values()])
    feature = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    with replacing(path) as partial:
        pq.write_table(pa.table({"sha256": pa.array([*known]), "feature": feature}), partial)
