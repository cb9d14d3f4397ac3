"""Time and memory of a whole audit: 2,000 real × 500 other pictures of a data pack, then the same once more.

    python benchmarks/audit.py DATA [--json OUT]

DATA is a folder in the layout ``open-pack``. The second run finds every feature in OUT/features/. Peak memory is that
of the largest process, as the operating system counts it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from lcmem.datasets import read_dataset
from lcmem.pictures.manifest import Manifest

REAL, SYNTHETIC = 2000, 500
COMMAND = [sys.executable, "-c", "from lcmem.cli import main; main()", "audit"]


def sample(manifest: Manifest, count: int) -> Manifest:
    return Manifest(manifest.table.sample(count, random_state=0).reset_index(drop=True))


def run(folder: Path) -> dict[str, float]:
    subprocess.run([*COMMAND, folder / "real.csv", folder / "synthetic.csv", "--out", folder / "out"], check=True)
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    keys = ("n_real", "n_synthetic", "pictures_encoded", "pictures_per_second", "seconds")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {key: summary[key] for key in keys} | {"peak_rss_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pack = read_dataset("open-pack", arguments.data)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample(pack.select(split="train"), REAL).write(folder / "real.csv")
        sample(pack.select(split="test"), SYNTHETIC).write(folder / "synthetic.csv")
        rows = [{"run": title} | run(folder) for title in ("first", "again")]
    for row in rows:
        print(json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
