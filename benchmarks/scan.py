"""The exhaustive scan against other ways to compare all pairs: seconds, pairs a second, peak memory.

    python benchmarks/scan.py [--json OUT] [--sizes 2000,65536,262144] [--million] [--plot PNG]

Features are made, not extracted, but shaped like the bundled detector's: 512 sigmoids of 24 latent factors, 16 125
pictures for 5125 identities as in the paper's section 4.4, with the bundled detector's weights. Factors are 1 apart
between identities and 0.25 within one, and every feature has its own noise of 0.1.

Ours compares the 16 125 pictures with galleries of several sizes, one of them themselves, and with ``--million`` 10 000
queries with a million pictures, atlases on disk, with everything that ``lcmem scan`` reads and writes: in one go, then
killed at half time and started again. Each method runs in a process of its own, so its peak memory is its own; it
includes the features and the libraries that the method needs. Slow methods take the first few queries only: the row
says how many. The best of three runs counts (of one for galleries above 20 000 pictures), after a short run to warm up.
With 16 125 × 16 125, faiss and ours take turns five times and the median counts: other work on the machine would favour
one of them.
"""

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scan_rivals import SUBSAMPLE, rival

if TYPE_CHECKING:
    from lcmem.model import Head

DIMS, THRESHOLD = 512, 0.0
PAPER = 16_125
ROUNDS = 5


def make(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features ``[count, 512]`` and identities ``[count]``."""
    shared, rng = np.random.default_rng(1), np.random.default_rng(seed)
    people = max(count * 5125 // PAPER, 1)
    mixing = shared.normal(0, 2 / math.sqrt(24), (24, DIMS)).astype(np.float32)
    identity = rng.integers(0, people, count)
    factors = rng.normal(0, 1, (people, 24))[identity] + rng.normal(0, 0.25, (count, 24))
    features = factors.astype(np.float32) @ mixing + rng.normal(0, 0.1, (count, DIMS)).astype(np.float32)
    return 1 / (1 + np.exp(-features)), identity


def bundled_head() -> "Head":
    from lcmem.detectors.lcmem import LCMem

    return LCMem.load("compact").head


def ours(queries: np.ndarray, blocks: list[np.ndarray], head: "Head", out: Path | None = None) -> Callable[[], object]:
    """Best match, matches at or above the threshold, histogram."""
    from lcmem.scan import scan

    return lambda: scan(queries, blocks, head, threshold=THRESHOLD, out=out)


def measure(method: str, count: int) -> dict[str, Any]:
    """One row, in this process."""
    features, _ = make(count)
    head = bundled_head()
    if method == "ours":
        asked = features if count == PAPER else make(PAPER)[0]
        ours(features[:200], [features[:200]], head)()
        call, queries = ours(asked, [features], head), PAPER
        seconds = min(timed(call) for _ in range(3 if count < 20_000 else 1))
    else:
        queries = min(SUBSAMPLE[method], count)
        call_for = rival(method, *[features * head.weight.detach().numpy()] * 2)
        call_for(10)
        seconds = min(timed(lambda: call_for(queries)) for _ in range(3))
    return row(method, queries, count, seconds)


def million(folder: Path) -> dict[str, Any]:
    """10 000 queries against 1 000 000 pictures."""
    from lcmem.atlas import Atlas
    from lcmem.detectors.lcmem import LCMem
    from lcmem.jobs.scan.run import scan_sets
    from lcmem.matching.asked import Asked

    detector = LCMem.load("compact")
    queries, gallery = (Atlas.open(folder / name) for name in ("queries", "gallery"))
    few = gallery.blocks()[:64].copy()
    ours(few, [few], detector.head)()
    seconds = timed(lambda: scan_sets(queries, gallery, detector, folder / "scan", k=1, asked=Asked(threshold=0.5)))
    return row("ours", len(queries), len(gallery), seconds)


def killed_million(folder: Path, whole: float) -> dict[str, Any]:
    """The same, killed at half time; the row is that of the run after it, which does not do again what was done."""
    shutil.rmtree(folder / "scan")
    first = subprocess.Popen([sys.executable, __file__, "--measure-million", str(folder)], stdout=subprocess.DEVNULL)
    while not (folder / "scan").is_dir():
        time.sleep(0.1)
    time.sleep(whole / 2)
    first.kill()
    first.wait()
    return apart("--measure-million", str(folder)) | {"method": "ours, again after a kill at half time"}


def write_million(folder: Path) -> None:
    """Two atlases of made features and names."""
    import pandas as pd

    from lcmem.atlas import Atlas
    from lcmem.detectors.lcmem import LCMem
    from lcmem.pictures.manifest import Manifest

    detector = LCMem.load("compact")
    for name, parts in (("queries", [99]), ("gallery", range(1, 101))):
        atlas = Atlas.create(folder / name, detector)
        for seed in parts:
            features, _ = make(10_000, seed=seed)
            paths = [f"/{name}/{seed:03d}/{n:05d}.png" for n in range(len(features))]
            table = pd.DataFrame({"path": paths, "identity": "", "split": "", "dataset": name})
            contents = pd.DataFrame({"stamp": "", "sha256": paths})
            atlas.append(Manifest(table), features, contents)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def row(method: str, queries: int, gallery: int, seconds: float) -> dict[str, Any]:
    speed = queries * gallery / seconds
    return {
        "method": method, "queries": queries, "gallery": gallery, "dims": DIMS, "seconds": round(seconds, 3),
        "pairs_per_second": round(speed), "peak_rss_mb": round(peak_mb()), "cores": os.cpu_count(),
    }  # fmt: skip


def peak_mb() -> float:
    """Linux hands a parent's peak on to its children in ``getrusage``, so there the kernel's own count is read."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def apart(*arguments: str) -> dict[str, Any]:
    """A row measured in a new process."""
    found = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    print(found.stdout.strip(), flush=True)
    return json.loads(found.stdout)


def rows(sizes: list[int], with_million: bool) -> Iterator[dict[str, Any]]:
    rivals = [method for method in SUBSAMPLE if method != "faiss"]
    for method in rivals:
        yield apart("--measure", method, str(PAPER))
    duels = [[apart("--measure", method, str(PAPER)) for method in ("faiss", "ours")] for _ in range(ROUNDS)]
    yield from (sorted(found, key=lambda item: item["seconds"])[ROUNDS // 2] for found in zip(*duels, strict=True))
    for size in sizes:
        yield apart("--measure", "ours", str(size))
    if with_million:
        with tempfile.TemporaryDirectory() as folder:
            write_million(Path(folder))
            whole = apart("--measure-million", folder)
            yield whole
            yield killed_million(Path(folder), whole["seconds"])


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Time and peak memory by the number of pairs, log-log; what was measured on fewer queries is scaled up."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (axes, memory) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    own = sorted(
        (item for item in found if item["method"] == "ours"), key=lambda item: item["queries"] * item["gallery"]
    )
    pairs = [item["queries"] * item["gallery"] for item in own]
    axes.loglog(pairs, [item["seconds"] for item in own], "o-", label="lcmem scan")
    memory.loglog(pairs, [item["peak_rss_mb"] for item in own], "o-", label="lcmem scan")
    for item in found:
        if item["method"] in SUBSAMPLE:
            count = item["gallery"] ** 2
            axes.loglog([count], [count / item["pairs_per_second"]], "s", label=f"{item['method']} (scaled up)")
    for panel, name in ((axes, "seconds"), (memory, "peak memory, MB")):
        panel.set(xlabel="pairs of 512 features", ylabel=name)
        panel.grid(alpha=0.3)
    axes.legend(fontsize=8)
    memory.axhline(2048, color="grey", ls="--", lw=1)
    figure.suptitle(f"Exhaustive scan, {own[0]['cores']} CPU cores", fontsize=10)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", default="2000,65536,262144")
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure-million", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure or chosen.measure_million:
        single = (
            million(chosen.measure_million)
            if chosen.measure_million
            else measure(chosen.measure[0], int(chosen.measure[1]))
        )
        print(json.dumps(single))
        return
    found = list(rows([int(size) for size in chosen.sizes.split(",")], chosen.million))
    speed = next(item["pairs_per_second"] for item in found if item["method"] == "ours" and item["gallery"] == PAPER)
    for item in found:
        if item["method"] in SUBSAMPLE:
            print(f"ours is {speed / item['pairs_per_second']:.0f} times as fast as {item['method']}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if chosen.plot:
        plot(found, chosen.plot)


if __name__ == "__main__":
    main()
