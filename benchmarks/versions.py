"""Two versions of the program side by side: are results the same, and what do time and memory do?

    python benchmarks/versions.py DATA OLD NEW [--model-old FOLDER --model-new FOLDER] [--rounds 2] [--real 2000]
        [--synthetic 500] [--json OUT]

DATA is a folder in the layout ``open-pack``; OLD and NEW are checkouts; the models are folders of the same weights in
each version's own format (default: what each version calls ``compact``). In every round each version audits the
synthetic pictures against the real ones, does it again with what it kept, indexes both sets and scans them, one version
after the other; the better round counts. Results are compared by pair: how far the logits of each synthetic picture's
best matches are apart, and whether they are the same pictures.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from lcmem.datasets import read_dataset
from lcmem.pictures.manifest import Manifest

MAIN = "from lcmem.cli import main; main()"
Row = dict[str, float]


def sample(manifest: Manifest, count: int) -> Manifest:
    return Manifest(manifest.table.sample(count, random_state=0).reset_index(drop=True))


def run(checkout: Path, *arguments: object) -> Row:
    """Seconds and peak megabytes of a command, of its largest process."""
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, arguments)], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{checkout}: lcmem {' '.join(map(str, arguments))} failed")
    return {"seconds": time.perf_counter() - began, "peak_mb": usage.ru_maxrss / 1024}


def work(checkout: Path, model: str, data: Path, out: Path) -> dict[str, Row]:
    """Every command once, into ``out``."""
    shutil.rmtree(out, ignore_errors=True)
    real, synthetic = data / "real.csv", data / "synthetic.csv"
    given = ("--model", model)
    threshold = ("--threshold", 0.9)
    found = {}
    for name in ("audit", "audit again"):
        found[name] = run(checkout, "audit", real, synthetic, "--out", out / "audit", *threshold, *given)
    for name, table in (("real", real), ("synthetic", synthetic)):
        found[f"index {name}"] = run(checkout, "index", table, "--out", out / f"{name}.atlas", *given)
    atlases = out / "synthetic.atlas", out / "real.atlas"
    found["scan"] = run(checkout, "scan", *atlases, "--out", out / "scan", *threshold, *given)
    return found


def best(out: Path) -> dict[str, pd.DataFrame]:
    """The best matches of the audit and of the scan, by query and rank."""
    audit = pd.read_csv(out / "audit" / "matches.csv").rename(columns={"synthetic": "query", "real": "match"})
    scan = pd.read_csv(out / "scan" / "best.csv")
    scan = scan.rename(columns={"gallery": "match"})
    tables = {"audit": audit, "scan": scan}
    for name, table in tables.items():
        table["query"] = ["/".join(Path(path).parts[-4:]) for path in table["query"]]  # zip, split, identity, file
        tables[name] = table.set_index(["query", "rank"])[["logit"]]
    return tables


def compared(old: Path, new: Path) -> dict[str, float]:
    """Largest difference of the logits of the same query and rank."""
    before, after = best(old), best(new)
    differences = {}
    for name, table in before.items():
        both = pd.concat([table["logit"], after[name]["logit"]], axis=1, keys=["old", "new"])
        differences[name] = float((both["old"] - both["new"]).abs().max(skipna=False))
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--model-old", default="compact")
    parser.add_argument("--model-new", default="compact")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--real", type=int, default=2000, help="pictures of the split train")
    parser.add_argument("--synthetic", type=int, default=500, help="pictures of the split test")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    versions = {"old": (arguments.old, arguments.model_old), "new": (arguments.new, arguments.model_new)}
    pack = read_dataset("open-pack", arguments.data)
    rounds: dict[str, list[dict[str, Row]]] = {name: [] for name in versions}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample(pack.select(split="train"), arguments.real).write(folder / "real.csv")
        sample(pack.select(split="test"), arguments.synthetic).write(folder / "synthetic.csv")
        for _ in range(arguments.rounds):
            for version, (checkout, model) in versions.items():
                rounds[version].append(work(checkout, model, folder, folder / version))
        differences = compared(folder / "old", folder / "new")
    report = {
        command: {
            version: {key: min(done[command][key] for done in rounds[version]) for key in ("seconds", "peak_mb")}
            for version in versions
        }
        for command in rounds["old"][0]
    }
    text = json.dumps({"commands": report, "largest_difference_of_logits": differences}, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
