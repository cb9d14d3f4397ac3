"""Milliseconds that the filter takes for one picture, and its memory, by the number of real pictures.

    python benchmarks/filter.py [--references 1000000] [--queries 200] [--json OUT]

The references are synthetic features (random, so that none of them is much nearer than the others: the worst case for
the bounds), written to disk and mapped as those of an atlas. The model is the bundled one; its own time for a picture
is measured beside it, and that of looking at the best matches, JPEG files of 256 pixels that were not read before.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import lcmem
from lcmem.matching.correlations import RANKS, correlate
from lcmem.matching.thumbnails import Thumbnails
from lcmem.scan.resident import ResidentGallery

ROWS = 65_536


def references(count: int, dims: int, target: Path) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    stored = np.lib.format.open_memmap(target, "w+", np.float32, (count, dims))
    for start in range(0, count, ROWS):
        part = stored[start : start + ROWS]
        part[:] = rng.random(part.shape, dtype=np.float32)
    stored.flush()
    return [np.load(target, mmap_mode="r")]


def milliseconds(call: Callable[[int], object], count: int) -> dict[str, float]:
    call(0)
    spent = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        spent.append(1000 * (time.perf_counter() - began))
    median, late = np.percentile(spent, (50, 95))
    return {"median_ms": round(float(median), 2), "p95_ms": round(float(late), 2)}


def looks(pictures: np.ndarray, folder: Path) -> Callable[[int], object]:
    """Look at one picture beside files of its own."""
    for number, picture in enumerate(pictures):
        for rank in range(RANKS):
            small = np.roll(picture, rank, 0)
            Image.fromarray(small).resize((256, 256)).save(folder / f"{number}-{rank}.jpg", quality=90)

    def look(number: int) -> object:
        files = [str(folder / f"{number}-{rank}.jpg") for rank in range(RANKS)]
        thumbnails = Thumbnails(0)
        return [correlate(mine, theirs) for _, mine, theirs in thumbnails.pairs([pictures[number]] * RANKS, files)]

    return look


def measure(detector: lcmem.LCMem, count: int, queries: int, folder: Path) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    pictures = rng.integers(0, 256, (queries, detector.size, detector.size, 3), dtype=np.uint8)
    asked = rng.random((queries, detector.dims), dtype=np.float32)
    features, began = references(count, detector.dims, folder / "features.npy"), time.perf_counter()
    gallery = ResidentGallery(features, detector.network.head)
    seconds = time.perf_counter() - began
    search = milliseconds(lambda at: gallery.best(asked[at : at + 1], RANKS), queries)
    seen = milliseconds(looks(pictures, folder), queries)
    encoding = milliseconds(lambda at: detector.features(pictures[at]), queries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    about = {"references": count, "features": detector.dims, "threads": torch.get_num_threads()}
    return [
        {"step": "start", "seconds": round(seconds, 1)} | about | {"peak_rss_mb": round(peak)},
        {"step": f"search, {RANKS} best matches of one picture"} | about | search,
        {"step": f"looks, one picture and {RANKS} files"} | seen,
        {"step": "model, one picture", "model": detector.name, "pixels": detector.size} | encoding,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(lcmem.LCMem.load(), arguments.references, arguments.queries, Path(name))
    for row in rows:
        print(json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
