"""How alike thumbnails of strangers are, and of pictures and what a small autoencoder makes of them: docs/copies.md.

python tools/copies.py DATA [DATA …]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.datasets import read_dataset
from lcmem.detectors.base import Detector
from lcmem.detectors.registry import load_detector
from lcmem.encoders import load_encoder
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.matching.compare import compare
from lcmem.matching.copies import LEAST, MOST, measure_look
from lcmem.matching.thumbnails import SAME, SIDE, grey
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import iterate_pictures, to_float, to_levels
from lcmem.stats.chance import Chance

PAGE = Path(__file__).parent.parent / "docs" / "copies.md"
PICTURES, COPIED, SIDES, BATCH = 2500, 150, (64, 96, 128), 25
INTRODUCTION = f"""# Copies seen small

Written by `python tools/copies.py DATA …`. An audit looks at each generated picture and the real picture that the model
finds most like it, both in {SIDE} × {SIDE} grey pixels. From which correlation on, also of the mirror image, it matches
is measured on the set's own strangers ([verdicts](auditing.md#two-verdicts)): between {LEAST} and {MOST}. From {SAME}
on it is a copy.

**Strangers**: up to {PICTURES:,} pictures of each set, each compared with all pictures of other identities: the
correlation with the most alike one, highest; and that with the one that the model finds most alike, 99th percentile and
highest. `brain_mri` has no identities: what is alike there are mostly neighbouring slices of one patient.

**Level** that an audit takes for these pictures, and **round trips** that reach it: {COPIED} pictures of the split val
through `compact-autoencoder` at a few sizes, which is what a small latent generator makes of a picture that it learnt
by heart."""


def thumbnails(paths: list[str]) -> tuple[list[int], np.ndarray]:
    """Positions of the pictures that can be read, and these in grey ``[N, SIDE, SIDE]``."""
    batches = list(iterate_pictures(paths, SIDE))
    small = [grey(picture) for batch in batches for picture in batch.pictures.numpy()]
    return [at for batch in batches for at in batch.indices], np.stack(small)


def unit(small: np.ndarray) -> np.ndarray:
    """Grey pictures ``[N, SIDE²]`` of mean 0 and length 1: a product is a correlation."""
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-9)


def strangers(part: pd.DataFrame, detector: Detector) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each picture's correlation with the most alike one of another identity, with the one that the model finds most
    alike, and its identity, as a number."""
    part = part.sort_values("path", kind="stable").head(PICTURES)
    read, small = thumbnails(list(part["path"]))
    names = part["identity"].where(part["identity"] != "", part["path"]).to_numpy()[read]
    people = pd.factorize(names)[0].astype(np.int64)
    plain, mirrored = unit(small), unit(small[:, :, ::-1])
    found = np.maximum(plain @ plain.T, plain @ mirrored.T)
    features = torch.cat([each for _, each in detector.stream(list(part["path"].to_numpy()[read]))]).numpy()
    best = compare(features, None, detector, query_identities=people, title="strangers").different
    assert best is not None
    own = found[np.arange(len(people)), best.positions[:, 0]]
    return np.where(people[:, None] == people[None], -1, found).max(1), own, people


@torch.inference_mode()
def round_trips(paths: list[str], level: float) -> list[float]:
    """Share of round trips through the small autoencoder, by its side, that are so much like their originals."""
    encoder = load_encoder("compact-autoencoder")
    originals = unit(np.stack([grey(load_levels(path, SIDE)) for path in paths]))
    shares = []
    for side in SIDES:
        pictures = torch.stack([torch.from_numpy(load_levels(path, side)) for path in paths])
        made = [to_levels(encoder.decode(encoder.encode(to_float(each))).clamp(0, 1)) for each in pictures.split(BATCH)]
        small = unit(np.stack([grey(load_levels(copy.permute(1, 2, 0).numpy(), SIDE)) for copy in torch.cat(made)]))
        shares.append(float(((originals * small).sum(1) >= level).mean()))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    folders = parser.parse_args().data
    table = pd.concat([read_dataset("open-pack", folder).table for folder in folders], ignore_index=True)
    detector, rows = load_detector("compact"), []
    for name, part in table.groupby("dataset"):
        highest, own, people = strangers(part[part["split"] == "train"], detector)
        look = measure_look(Chance(own, people, mutual=True))
        shares = round_trips(list(part.loc[part["split"] == "val", "path"].sort_values().head(COPIED)), look.level)
        numbers = [f"{value:.3f}" for value in (highest.max(), np.quantile(own, 0.99), own.max(), look.level)]
        rows.append([str(name), f"{len(own):,}", *numbers, *map("{:.0%}".format, shares)])
        print(*rows[-1], flush=True)
    header = ["set", "pictures", "strangers: highest", "best match: 99th percentile", "highest", "level"]
    header += [f"round trips at {side} px" for side in SIDES]
    write_text(f"{INTRODUCTION}\n\n{markdown(header, rows)}", PAGE)


if __name__ == "__main__":
    main()
