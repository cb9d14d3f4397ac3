"""Does the calibrated threshold keep its promise? False alarms and detections of audits whose truth is known.

    python tools/calibration.py DATA [--split val] [--model compact] [--json OUT]

DATA is a folder in the layout ``open-pack``. In each labelled dataset the identities are split: 60 % are the real set,
20 % the holdout, 20 % are unseen. The queries are all pictures of unseen identities (every match is a false alarm), an
edited copy of up to 200 real pictures, and one left-out picture of each real identity that has several. Each
calibration method gets what it may know: identities, a holdout, or neither ("tail").
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.augment import Augmentation
from lcmem.datasets import read_dataset
from lcmem.detectors.lcmem import LCMem
from lcmem.jobs.audit import random_pair_logits
from lcmem.jobs.features import extract_features
from lcmem.pictures.image import load_picture
from lcmem.pictures.manifest import Manifest
from lcmem.scan import ChunkedRows, scan
from lcmem.stats.calibration import calibrate, calibrate_tail

RATE, COPIES = 0.01, 200


def parts(manifest: Manifest) -> dict[str, np.ndarray]:
    """Positions of the real set, the holdout, the unseen, and the left-out pictures of real identities."""
    rng = np.random.default_rng(0)
    identities = pd.factorize(pd.Series(manifest.identities))[0]
    share = rng.random(identities.max() + 1)[identities]
    real = np.flatnonzero(share < 0.6)
    last = pd.Series(real).groupby(identities[real]).agg(["last", "size"])
    left_out = last["last"][last["size"] > 1].to_numpy()
    return {
        "real": np.setdiff1d(real, left_out),
        "other photos": left_out,
        "holdout": np.flatnonzero((share >= 0.6) & (share < 0.8)),
        "unseen": np.flatnonzero(share >= 0.8),
    }


def edited(paths: list[str], detector: LCMem) -> torch.Tensor:
    pictures = torch.stack([torch.from_numpy(load_picture(path, detector.size)) for path in paths])
    changed = Augmentation()(pictures, torch.Generator().manual_seed(0))
    return torch.cat([detector.embed((part * 255).round().to(torch.uint8)) for part in changed.split(64)])


def measure(manifest: Manifest, detector: LCMem) -> list[dict[str, object]]:
    found = extract_features(manifest, detector, None)
    rows = {name: torch.tensor(at) for name, at in parts(found.manifest).items()}
    sets = {name: found.features[at].numpy() for name, at in rows.items()}
    real_paths = found.manifest.rows(rows["real"].tolist()).paths
    sets["edited copies"] = edited(real_paths[:: max(1, len(real_paths) // COPIES)][:COPIES], detector).numpy()
    head = detector.head

    def best(queries: np.ndarray) -> np.ndarray:
        return scan(queries, sets["real"], head).best.logits[:, 0]

    codes = pd.factorize(pd.Series(found.manifest.identities))[0][rows["real"]]
    chance = scan(sets["real"], None, head, query_identities=codes).different.logits[:, 0]
    holdout = best(sets["holdout"])
    tail = random_pair_logits(ChunkedRows(sets["real"]), detector)
    methods = {
        "identities": calibrate(chance, None, RATE),
        "holdout": calibrate(None, holdout, RATE),
        "identities and holdout": calibrate(chance, holdout, RATE),
        "tail": calibrate_tail(tail, float(head.bias), len(sets["real"]), RATE),
    }
    scores = {name: best(sets[name]) for name in ("unseen", "edited copies", "other photos")}
    return [
        {
            "dataset": manifest.table["dataset"].iloc[0],
            "real": len(sets["real"]),
            "method": name,
            "threshold": calibration.logit,
            "aimed at": calibration.rate,
            **{kind: float((values >= calibration.logit).mean()) for kind, values in scores.items()},
        }
        for name, calibration in methods.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    manifest = read_dataset("open-pack", arguments.data).select(split=arguments.split)
    detector = LCMem.load(arguments.model)
    results: list[dict[str, object]] = []
    for dataset in ("celeba", "celeba64", "ham10000", "lidc"):
        rows = measure(manifest.select(dataset=dataset), detector)
        print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3f}"), flush=True)
        results += rows
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
