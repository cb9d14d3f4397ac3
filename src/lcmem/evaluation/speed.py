"""How quick each detector is on this machine, and how much memory it takes."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lcmem.detectors.base import Detector
from lcmem.detectors.each import OK, label, reason
from lcmem.detectors.entry import Options
from lcmem.detectors.registry import load_detector
from lcmem.files import write_table
from lcmem.progress import progress_bar

SIZE, BATCH = 256, 16
"""Side in pixels of the pictures, and how many are embedded at once."""

COLUMNS = ("detector", "device", "size", "dims", "images_per_second", "pairs_per_second", "peak_memory_mb", "status")


def benchmark_speed(
    detectors: Sequence[str], out: str | os.PathLike[str], *, options: Options | None = None, seconds: float = 2.0
) -> pd.DataFrame:
    """Pictures embedded and pairs scored in a second, by random pictures: speed does not depend on what they show.

    A picture counts from its decoded pixels to its features. Pixel metrics have nothing to do there but to copy the
    pixels: their work is in the pairs.

    Args:
        detectors: What :func:`~lcmem.detectors.registry.load_detector` takes.
        out: Folder for ``speed.csv``.
        options: Where to compute, and whether to download.
        seconds: How long to measure at least, once for pictures and once for pairs.

    Returns:
        ``detector, device, size, dims, images_per_second, pairs_per_second, peak_memory_mb, status``. Memory is the
        most that a process of the detector's own held (on CUDA: what the device held; on Windows it is not known).
        ``status`` is ``ok``, or why there are no numbers; the others are measured all the same.
    """
    options = options or Options()
    rows = []
    with progress_bar("speed", len(detectors)) as advance:
        for name in detectors:
            rows.append(
                {"detector": label(name), "device": options.device, "size": SIZE} | _alone(name, options, seconds)
            )
            advance(1)
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"dims": "Int64"})
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(table, folder / "speed.csv", float_format="%.1f")
    return table


def _alone(name: str, options: Options, seconds: float) -> dict[str, Any]:
    """The numbers of one detector, from a process that does nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, name, options, seconds).result()
        except BrokenProcessPool:
            return {"status": "its process was killed, probably for want of memory"}


def _measure(name: str, options: Options, seconds: float) -> dict[str, Any]:
    try:
        detector = load_detector(name, options)
        return _numbers(detector, seconds) | {"peak_memory_mb": _peak_memory(options.device), "status": OK}
    except Exception as error:  # whatever a detector or its library raises is its own row's business
        return {"status": reason(error)}


def _numbers(detector: Detector, seconds: float) -> dict[str, Any]:
    pictures = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    features = detector.embed(pictures)  # the first time allocates and compiles
    rows = features.repeat(16, 1) if detector.exhaustive else features[:4]
    return {
        "dims": features.shape[1],
        "images_per_second": BATCH * _rate(lambda: detector.embed(pictures), seconds),
        "pairs_per_second": len(rows) ** 2 * _rate(lambda: detector.similarities(rows, rows), seconds),
    }


def _rate(work: Callable[[], object], seconds: float) -> float:
    """How often in a second."""
    began, times = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        work()
        times += 1
    return times / spent


def _peak_memory(device: str) -> float:
    """Megabytes."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "linux":  # ru_maxrss starts at what the parent process held
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 2**10
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
