"""Is the gain of the bundled model fitted too tightly, or not tightly enough? Judged on identities of val left out.

    python tools/pixel_model/crossfit.py DATA [DATA …] --cache OUTPUTS.npy [--decay 0.005 0.0005]

Head and gain are fitted as ``bundle.py`` does, on two thirds of the identities of the split val, judged on the rest,
three times. For each dataset with identities it prints the expected calibration error, what right probabilities would
show in 19 of 20 cases with as few pairs, and the AUC.
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bundle import NEGATIVES, PICTURES, SHARES, outputs, same_identity, squeezed
from scipy.special import expit
from torch import Tensor

from lcmem.datasets import read_dataset
from lcmem.detectors.lcmem import LCMem
from lcmem.model import SiameseNetwork
from lcmem.pictures.image import load_levels
from lcmem.stats.reliability import chance_error, reliability
from lcmem.stats.roc import Roc
from lcmem.training.head import LabelledPairs, fit_head

FOLDS = 3
DECAYS = (0.005, 0.0005)
"""Penalties on the squared weights of the gain; the first is that of ``bundle.py``."""
Judged = dict[str, tuple[np.ndarray, np.ndarray]]
"""Logits of pairs, and whether they show one identity, by dataset."""


def read_val(folders: list[Path]) -> pd.DataFrame:
    """Pictures of val with identities, those of several pictures first."""
    table = pd.concat([read_dataset("open-pack", folder).table for folder in folders], ignore_index=True)
    table = table[(table["split"] == "val") & (table["identity"] != "")].sort_values("path", kind="stable")
    repeated = table.duplicated(["dataset", "identity"], keep=False)
    table = pd.concat([table[repeated], table[~repeated]]).groupby("dataset").head(PICTURES)
    return table.sort_values("dataset", kind="stable").reset_index(drop=True)


def encode(table: pd.DataFrame, detector: LCMem, cache: Path) -> Tensor:
    """What the backbone says of each picture, ``[N, D]``."""
    if not cache.is_file():
        parts = [
            outputs(detector.network, [squeezed(load_levels(path).transpose(1, 2, 0), detector.size) for path in some])
            for some in np.array_split(table["path"], max(len(table) // 32, 1))
        ]
        np.save(cache, torch.cat(parts).numpy())
    found = torch.from_numpy(np.load(cache))
    if len(found) != len(table):
        raise SystemExit(f"{cache}: not of these pictures; delete it")
    return found


def pairs_among(found: Tensor, identity: np.ndarray) -> LabelledPairs | None:
    """At most ten pairs of each identity and random ones of different identities; None without both."""
    rng = np.random.default_rng(0)
    positive = same_identity(identity, rng)
    first, second = rng.integers(len(identity), size=(2, NEGATIVES))
    apart = identity[first] != identity[second]
    negative = np.unique(np.sort(np.stack((first[apart], second[apart]), 1), 1), axis=0)
    if not positive or not len(negative):
        return None
    rows = torch.tensor([*positive, *map(tuple, negative.tolist())])
    return LabelledPairs(found, rows[:, 0], rows[:, 1], torch.arange(len(rows)) < len(positive))


def cross_fit(network: SiameseNetwork, found: Tensor, table: pd.DataFrame, decay: float) -> Judged:
    """Logits of pairs whose identities the fit did not see."""
    people = pd.factorize(table["dataset"] + "/" + table["identity"])[0]
    fold = np.random.default_rng(1).permutation(people.max() + 1)[people] % FOLDS
    judged: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for left_out in range(FOLDS):
        fresh = copy.deepcopy(network)
        if fresh.gain is not None:
            torch.nn.init.zeros_(fresh.gain.weight), torch.nn.init.zeros_(fresh.gain.bias)
        seen, unseen = (by_dataset(found, table, at) for at in (fold != left_out, fold == left_out))
        fit_head(fresh, [*seen.values()], shares=SHARES, decay=decay)
        for name, pairs in unseen.items():
            judged.setdefault(name, []).append(logits(fresh, pairs))
    return {name: tuple(map(np.concatenate, zip(*parts, strict=True))) for name, parts in judged.items()}


def by_dataset(found: Tensor, table: pd.DataFrame, chosen: np.ndarray) -> dict[str, LabelledPairs]:
    """Pairs of the chosen pictures."""
    pairs = {
        name: pairs_among(found[np.array(part.index)], part["identity"].to_numpy())
        for name, part in table[chosen].groupby("dataset")
    }
    return {name: each for name, each in pairs.items() if each is not None}


@torch.no_grad()
def logits(network: SiameseNetwork, pairs: LabelledPairs) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs, and whether each shows one identity."""
    u = network.features_of(pairs.outputs)
    return network.head(u[pairs.first], u[pairs.second]).numpy(), pairs.same.numpy()


def main() -> None:
    """Parse, encode, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--decay", type=float, nargs="+", default=DECAYS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    detector, table = LCMem.load("compact"), read_val(arguments.data)
    found = encode(table, detector, arguments.cache)
    print("| dataset | positive pairs | penalty | calibration error | by chance up to | AUC |\n" + "|---" * 6 + "|")
    for decay in arguments.decay:
        for name, (scores, same) in cross_fit(detector.network, found, table, decay).items():
            stated = expit(scores)
            error, limit = reliability(stated, same).error, chance_error(stated, same)
            cells = [
                name,
                same.sum(),
                f"{decay:g}",
                f"{error:.3f}",
                f"{limit:.3f}",
                f"{Roc.of(scores, same).auc():.3f}",
            ]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
