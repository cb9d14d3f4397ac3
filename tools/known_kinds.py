"""Which kinds of pictures did a model learn identities of? Learnt from training pictures, and written into its card.

    python tools/known_kinds.py MODEL PIXELS KINDS UNSEEN

MODEL is a folder with a card of a detector on pixels with parts, such as src/lcmem/weights/compact; PIXELS is what
``lcmem encode --encoder pixels --size 160`` made of the training pictures; KINDS what ``tools/kinds.py`` wrote; UNSEEN
what ``lcmem benchmark reid`` wrote for MODEL and EfficientNet-Lite0 on the pictures of ``tools/unseen.py``. A logistic
regression on the last part of the features tells people from photos and other kinds; an audit says by it that another
detector may be the better one for its pictures. Needs the extras ``train`` and ``benchmark``.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from lcmem.checkpoints import CARD
from lcmem.detectors.lcmem import LCMem
from lcmem.files import read_json, write_json
from lcmem.jobs.audit.other_models import RIVAL
from lcmem.latents import LatentStore
from lcmem.training.views import mild, shrink

PHOTOS = ("imagenet1000", "tiny_imagenet")
EACH, OTHERS = 800, 6000
"""Pictures of each dataset of people, and of the photos and of the other kinds."""
LEARNT = "faces, chest X-rays, CT and skin"


@torch.inference_mode()
def last_parts(detector: LCMem, pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The last part of the features ``[N, n]`` of pictures ``[N, 160, 160, 3]``, every other one mildly edited."""
    found, side, size = [], detector.size, detector.network.settings.parts[-1]
    for at in range(0, len(pictures), 16):
        views = [np.ascontiguousarray(picture) for picture in pictures[at : at + 16]]
        views = [mild(rng, each, side) if number % 2 else shrink(each, side) for number, each in enumerate(views)]
        pixels = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255
        found.append(detector.network(pixels.contiguous(memory_format=torch.channels_last))[:, -size:].numpy())
    return np.concatenate(found)


def main() -> None:
    """Parse, learn, judge on val, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "pixels", "kinds", "unseen"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    detector, rng = LCMem.load(arguments.model), np.random.default_rng(0)
    detector.network.without_faces()  # it has no say in the last part
    everything = LatentStore.open(arguments.pixels)

    def drawn(split: str, names: list[str], most: int) -> np.ndarray:
        store = everything.select(split=split)
        rows = np.flatnonzero(store.manifest.table["dataset"].isin(names))
        pictures = store.pictures(np.sort(rng.permutation(rows)[:most])).transpose(0, 2, 3, 1)
        return last_parts(detector, pictures, rng)

    people = sorted({*everything.manifest.table["dataset"]} - {*PHOTOS})
    known = np.concatenate([drawn("train", [name], EACH) for name in people])
    kinds = rng.permutation(np.load(arguments.kinds)["pictures"])[:OTHERS]
    others = np.concatenate([drawn("train", [*PHOTOS], OTHERS), last_parts(detector, kinds, rng)])
    features, other = np.concatenate((known, others)), np.arange(len(known) + len(others)) >= len(known)
    model = LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced").fit(features, other)
    for name in [*people, *PHOTOS]:
        share = (model.decision_function(drawn("val", [name], EACH)) > 0).mean()
        print(f"{name}: {share:.1%} of val are of another kind")
    reid = pd.read_csv(arguments.unseen / "reid.csv").query("in_macro")
    aucs = reid.pivot(index="dataset", columns="detector", values="auc").round(3)
    (mine,) = [name for name in aucs if Path(name).name == detector.name]
    measured = [{"dataset": name, "model": row[mine], RIVAL: row[RIVAL]} for name, row in aucs.iterrows()]
    card = arguments.model / CARD
    weights = [round(float(weight), 4) for weight in model.coef_[0]]
    found = {"weights": weights, "bias": round(float(model.intercept_[0]), 4), "learnt": LEARNT, "measured": measured}
    write_json(read_json(card) | {"kinds": found}, card)


if __name__ == "__main__":
    main()
