"""Training on one's own pictures: one command for each set, measured on identities that the training never saw.

    python tools/own_data.py [--data PACK] [--json OUT] [--out RUNS]

- ORL faces (extra demo), 40 people × 10: ``lcmem train finetune`` on 24 people, 6 for validation, 10 for the test.
- HAM10000, skin lesions, if ``--data`` names the data pack: ``lcmem train small``, from random weights, on the pack's
  splits.

Beside both stages: raw-pixel correlation (NCC), MSE and the bundled model, on the same pairs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lcmem.datasets import read_dataset
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.jobs.demo import faces_folder
from lcmem.pictures.manifest import Manifest


def faces() -> Manifest:
    table = Manifest.read(faces_folder()).table
    table = table[table["path"].str.endswith(".pgm")]
    number = table["identity"].str[1:].astype(int)
    return Manifest(table.assign(split=np.select([number <= 24, number <= 30], ["train", "val"], "test")))


def measure(name: str, preset: str, manifest: Manifest, out: Path) -> list[dict[str, object]]:
    out.mkdir(parents=True, exist_ok=True)
    manifest.write(out / f"{name}.csv")
    command = ["train", preset, "--data", str(out / f"{name}.csv"), "--out", str(out / name)]
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from lcmem.cli import main; main()", *command], check=True)
    minutes = (time.perf_counter() - began) / 60
    stages = {str(out / name / f"stage{k}"): f"stage {k}" for k in (1, 2)}
    table = benchmark_reid(manifest.select(split="test"), ["ncc", "mse", "compact", *stages], out / f"{name}-measured")
    table = table[table["dataset"] == "micro"].assign(detector=lambda rows: rows["detector"].replace(stages))
    identities = manifest.table[manifest.table["identity"] != ""].groupby("split")["identity"].nunique()
    common = {"set": name, "command": f"lcmem train {preset}", "minutes": round(minutes, 1)}
    people = {f"{split}_identities": int(identities[split]) for split in ("train", "val", "test")}
    columns = ["detector", "n_positive", "n_negative", "auc", "specificity_at_99_sensitivity"]
    return [common | people | row for row in json.loads(table[columns].to_json(orient="records"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "lcmem-own-data")
    arguments = parser.parse_args()
    rows = measure("faces", "finetune", faces(), arguments.out)
    if arguments.data:
        pack = read_dataset("open-pack", arguments.data)
        rows += measure("ham10000", "small", pack.select(dataset="ham10000"), arguments.out)
    for row in rows:
        print(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
