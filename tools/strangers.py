"""How alike are different people to a model? Measured on the split val, and written into the model's card.

    python tools/strangers.py MODEL DATA [DATA …] --cache CACHE

MODEL is a folder with a card, such as src/lcmem/weights/compact; each DATA is one in the layout ``open-pack``. Features
are computed once, in CACHE.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from population import read_packs

from lcmem.checkpoints import CARD
from lcmem.detectors.lcmem import LCMem
from lcmem.files import read_json, write_json
from lcmem.jobs.usual_scores import measure_strangers
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.manifest import Manifest


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector = LCMem.load(arguments.model)
    table = read_packs(arguments.data)
    table = table[(table["split"] == "val") & (table["identity"] != "")]
    store = open_features(arguments.cache, detector)
    sets = {
        name: extract_features(Manifest(part.reset_index(drop=True)), detector, store)
        for name, part in table.groupby("dataset")
    }
    found = measure_strangers(sets, detector)
    card = arguments.model / CARD
    write_json(read_json(card) | {"strangers": {"split": "val", **found}}, card)
    print(pd.DataFrame({name: each["scores"] for name, each in found["datasets"].items()}, index=found["shares"]))


if __name__ == "__main__":
    main()
