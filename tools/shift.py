"""Does a calibration on real pictures carry over to synthetic ones? Strangers as they are, and softened.

    python tools/shift.py DATA [DATA …] --cache CACHE [--datasets celeba64 lidc]

Prints a table: strangers as they are, after the round trip of the bundled autoencoder, and at half their size and back;
how well features tell them from the real set, whether an audit would warn, and how many match at a threshold that was
calibrated on real pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from population import EACH, read_population

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.matching.feature_set import FeatureSet
from lcmem.pictures.image import load_levels
from lcmem.scan import ChunkedRows, scan
from lcmem.stats.calibration import calibrate
from lcmem.stats.chance import Chance
from lcmem.stats.rates import proportion
from lcmem.stats.separation import separation

REAL, STRANGERS, RATES = 200, 150, (0.01, 0.05)
"""People of the real set, and strangers; one picture of each stranger."""
Edit = Callable[[np.ndarray], np.ndarray]


def round_trip() -> Edit:
    """Through the bundled autoencoder, ``[3, H, W]`` uint8."""
    autoencoder = load_encoder()

    def edit(levels: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            planes = torch.from_numpy(levels).float()[None] / 255
            again = autoencoder.round_trip(planes)[0]
        return (again.clamp(0, 1) * 255).round().byte().numpy()

    return edit


def soften(levels: np.ndarray) -> np.ndarray:
    """At half the size and back, ``[3, H, W]`` uint8."""
    picture = Image.fromarray(levels.transpose(1, 2, 0))
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    return np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def measure(found: FeatureSet, detector: LCMem, edits: dict[str, Edit]) -> list[dict[str, object]]:
    """A row for each edit."""
    people = np.arange(REAL * EACH) // EACH
    real = found.features[: len(people)]
    different = scan(ChunkedRows(real.numpy()), None, detector.network.head, query_identities=people).different
    assert different is not None
    chance = Chance(different.logits[:, 0], people, mutual=True)
    rows = np.arange(REAL * EACH, (REAL + STRANGERS) * EACH, EACH)
    levels = [load_levels(found.manifest.paths[row]) for row in rows]
    return [row(name, [edit(each) for each in levels], real, people, chance, detector) for name, edit in edits.items()]


def row(
    name: str, levels: list[np.ndarray], real: torch.Tensor, people: np.ndarray, chance: Chance, detector: LCMem
) -> dict[str, object]:
    """How one kind of strangers is told apart and how many match."""
    parts = [
        detector.features([each.transpose(1, 2, 0) for each in levels[at : at + 32]])
        for at in range(0, len(levels), 32)
    ]
    features = torch.cat(parts).float()
    rows = ChunkedRows(features.numpy()), ChunkedRows(real.numpy())
    best = scan(*rows, detector.network.head).best.logits[:, 0]
    told = separation(real.numpy(), features.numpy(), people, np.arange(len(features)))
    assert told is not None
    cells: dict[str, object] = {"strangers": name, "AUC": f"{told.auc:.2f} ({told.low:.2f} to {told.high:.2f})"}
    cells["warned"] = "yes" if told.easy else "no"
    for rate in RATES:
        matched = proportion(int((best >= calibrate(chance, rate, "identities", np.inf).logit).sum()), len(best))
        cells[f"match at {rate:.0%}"] = matched.percent
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=["celeba64", "lidc"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector = LCMem.load("compact")
    edits: dict[str, Edit] = {"as they are": lambda levels: levels, "round trip": round_trip(), "half size": soften}
    print("| data | strangers | AUC | warned | " + " | ".join(f"match at {rate:.0%}" for rate in RATES) + " |")
    print("|---" * (4 + len(RATES)) + "|")
    for dataset in arguments.datasets:
        found = read_population(arguments.data, dataset, detector, arguments.cache)
        for cells in measure(found, detector, edits):
            print(f"| {dataset} | " + " | ".join(map(str, cells.values())) + " |", flush=True)


if __name__ == "__main__":
    main()
