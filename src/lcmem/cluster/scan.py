"""A scan on many machines: the queries are cut into parts, Ray Data spreads these over workers, one process joins them.

Each part is the scan itself, restricted to some queries. So the lists of best matches need not be merged, only put one
after the other, and pairs are counted in exactly one part.
"""

import copy
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from lcmem.cluster import check_ray
from lcmem.errors import LCMemError
from lcmem.model import Head
from lcmem.progress import progress_bar
from lcmem.scan.chunked import ChunkedRows, Features, Part, as_chunked
from lcmem.scan.engine import scan
from lcmem.scan.result import ScanResult

PART = 4096
"""Queries of a part at most; what is done again when a worker dies."""


def scan_distributed(
    queries: Features,
    gallery: Features | None,
    head: Head,
    *,
    out: Path,
    ray_workers: int = 2,
    device: str = "cpu",
    **options: Any,
) -> ScanResult:
    """As :func:`lcmem.scan.scan`, on the workers of a Ray cluster, with the identical result.

    A part that is finished is a folder in ``out``, made under another name and renamed. Ray repeats the part of a
    worker that died, and the same call, started again after a kill, does only what is missing; whatever happens, a part
    is in the result once.

    Args:
        queries: Features ``[Q, D]``. The workers open stored ones themselves, others are sent to them.
        gallery: Features ``[G, D]`` in the same form; None takes the queries themselves.
        head: Weights ``[D]`` and bias.
        out: Folder that all machines see under this path.
        ray_workers: Processes that scan, each with one core, or with one GPU for a ``cuda`` device.
        device: Where they scan.
        **options: ``k, threshold, query_identities, gallery_identities`` as for a scan.

    Raises:
        LCMemError: Ray is not installed, something does not fit, or workers do not see the folders.
    """
    check_ray()
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    own, other = as_chunked(queries), None if gallery is None else as_chunked(gallery)
    job = _Job(
        queries=own.arrays,
        gallery=None if other is None else other.arrays,
        head=copy.deepcopy(head).cpu(),
        device=device,
        options=options,
        out=out,
    )
    size = max(1, min(PART, -(-len(own) // ray_workers)))
    parts = [range(start, min(start + size, len(own))) for start in range(0, max(len(own), 1), size)]
    _spread([part for part in parts if not job.folder(part).is_dir()], job, ray_workers)
    for leftover in out.glob("*.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    missing = [str(job.folder(part)) for part in parts if not job.folder(part).is_dir()]
    if missing:
        raise LCMemError(f"{missing[0]}: a worker wrote it, but it is not here; give a folder that all machines share")
    return ScanResult.join([job.scan(part, job.folder(part)) for part in parts])


@dataclass
class _Job:
    """What a worker needs for any part; stored features are opened there, not sent."""

    queries: list[Part]
    gallery: list[Part] | None
    head: Head
    device: str
    options: dict[str, Any]
    out: Path

    @cached_property
    def rows(self) -> tuple[ChunkedRows, ChunkedRows | None]:
        """Queries and gallery, opened and hashed once in each process, after the job was sent to it."""
        return ChunkedRows(self.queries), None if self.gallery is None else ChunkedRows(self.gallery)

    def folder(self, part: range) -> Path:
        """Where the result of a finished part lies."""
        return self.out / f"part-{part.start:09d}-{part.stop:09d}"

    def scan(self, part: range, out: Path) -> ScanResult:
        """Do a part, or read it where it is finished."""
        return scan(*self.rows, self.head, query_range=part, out=out, device=self.device, **self.options)

    def finish(self, part: range) -> None:
        """Do a part; of two workers that do the same the first one wins."""
        partial = self.out / f"{self.folder(part).name}.partial-{uuid4().hex}"
        self.scan(part, partial)
        with suppress(OSError):
            partial.rename(self.folder(part))
        if not self.folder(part).is_dir():
            raise LCMemError(f"{self.folder(part)}: cannot be written")


def _spread(parts: list[range], job: _Job, ray_workers: int) -> None:
    """Let the workers scan all parts."""
    import ray
    import ray.data

    if not parts:
        return
    rows = ray.data.from_items(
        [{"start": part.start, "stop": part.stop} for part in parts], override_num_blocks=len(parts)
    )
    done = rows.map_batches(
        _Worker,
        fn_constructor_args=(ray.put(job),),
        batch_size=1,
        concurrency=min(ray_workers, len(parts)),
        num_gpus=1 if job.device.startswith("cuda") else None,
    )
    with progress_bar("comparing", len(parts)) as advance:
        for batch in done.iter_batches(batch_size=None):
            for error in batch["error"]:
                if error:
                    raise LCMemError(error)
            advance(len(batch["error"]))


class _Worker:
    """A process of the cluster. What is wrong with the input is told as text: Ray would wrap an exception."""

    def __init__(self, job: Any) -> None:
        import ray

        self.job = ray.get(job)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        try:
            for start, stop in zip(rows["start"].tolist(), rows["stop"].tolist(), strict=True):
                self.job.finish(range(start, stop))
        except LCMemError as error:
            return {"error": np.array([str(error)], dtype=object)}
        return {"error": np.array([""], dtype=object)}
