"""Encoding on many machines: Ray Data spreads batches of paths over workers, one process stores the features."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from lcmem.cluster import check_ray
from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.store import Encoded

BATCH = 64
"""Pictures that a worker encodes at once; what is done again when it dies."""


def encoded_distributed(detector: Detector, ray_workers: int = 2) -> Callable[[list[str]], Iterable[Encoded]]:
    """As :func:`lcmem.atlas.fill.encoded`, on the workers of a Ray cluster.

    Workers get the model from here and read the pictures themselves, so the paths must be valid there too. They only
    encode. Ray repeats the batch of a worker that died; features are stored by this process alone, each content once.

    Args:
        detector: A checkpoint; the workers encode on the device that it is on.
        ray_workers: Processes that encode, each with one core, or with one GPU for a ``cuda`` device.

    Raises:
        LCMemError: Ray is not installed, or the detector is not a checkpoint.
    """
    check_ray()
    if not isinstance(detector, LCMem):
        raise LCMemError(f"{detector.name}: a cluster encodes with checkpoints only; leave --ray out")
    return partial(_stream, detector=detector, ray_workers=ray_workers, device=str(detector.device))


def _stream(paths: list[str], *, detector: LCMem, ray_workers: int, device: str) -> Iterator[Encoded]:
    """In whatever order the workers are done."""
    import ray.data

    if not paths:
        return
    blocks = max(1, len(paths) // BATCH)  # none smaller than a batch: Ray would join them again
    rows = ray.data.from_items([{"at": at, "path": path} for at, path in enumerate(paths)], override_num_blocks=blocks)
    encoded = rows.map_batches(
        _Worker,
        fn_constructor_args=(detector.moved("cpu"), device),  # a worker may see no GPU, or another one
        batch_size=BATCH,
        concurrency=min(ray_workers, blocks),
        num_gpus=1 if device.startswith("cuda") else None,
    )
    for batch in encoded.iter_batches(batch_size=None):
        good = batch["reason"] == ""
        failures = list(zip(batch["at"][~good].tolist(), batch["reason"][~good].tolist(), strict=True))
        yield Encoded(batch["at"][good].tolist(), batch["features"][good].astype(np.float32), failures)


class _Worker:
    """The model in a process of the cluster."""

    def __init__(self, detector: LCMem, device: str) -> None:
        self.detector = detector.moved(device)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        paths = rows["path"].tolist()
        features = np.zeros((len(paths), self.detector.dims), dtype=np.float32)
        reasons = [""] * len(paths)
        for batch, values in self.detector.stream(paths, batch_size=len(paths), workers=0):
            features[batch.indices] = values.numpy()
            for at, reason in batch.failures:
                reasons[at] = reason
        return {"at": rows["at"], "reason": np.array(reasons, dtype=object), "features": features}
