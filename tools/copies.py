"""How alike thumbnails of strangers are, and of pictures and what a small autoencoder makes of them: docs/copies.md.

python tools/copies.py DATA [DATA …]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.datasets import read_dataset
from lcmem.encoders import load_encoder
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.matching.thumbnails import SAME, SIDE, grey
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import iterate_pictures, to_float, to_levels

PAGE = Path(__file__).parent.parent / "docs" / "copies.md"
PICTURES, COPIED, SIDES, BATCH = 2500, 150, (64, 96, 128), 25
INTRODUCTION = f"""# Copies seen small

Written by `python tools/copies.py DATA …`. An audit looks at each generated picture and the real picture that the model
finds most like it, both in {SIDE} × {SIDE} grey pixels: from a correlation of {SAME}, also of the mirror image, it is a
copy.

**Strangers**: up to {PICTURES:,} pictures of each set, each compared with all pictures of other identities: the
correlation with the most alike one, and the share from {SAME}, which is how often somebody else would be taken for a
copy *if* the model found just that one most alike. `brain_mri` has no identities: what is alike there are mostly
neighbouring slices of one patient.

**Round trips**: {COPIED} pictures of the split val through `compact-autoencoder` at a few sizes, which is what a small
latent generator makes of a picture that it learnt by heart: the share from {SAME}."""


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


def strangers(part: pd.DataFrame) -> np.ndarray:
    """The highest correlation of each picture with one of another identity."""
    part = part.sort_values("path", kind="stable").head(PICTURES)
    read, small = thumbnails(list(part["path"]))
    people = part["identity"].where(part["identity"] != "", part["path"]).to_numpy()[read]
    plain, mirrored = unit(small), unit(small[:, :, ::-1])
    found = np.maximum(plain @ plain.T, plain @ mirrored.T)
    return np.where(people[:, None] == people[None], -1, found).max(1)


@torch.inference_mode()
def round_trips(paths: list[str]) -> list[float]:
    """Share of round trips through the small autoencoder, by its side, that agree with their originals."""
    encoder = load_encoder("compact-autoencoder")
    originals = unit(np.stack([grey(load_levels(path, SIDE)) for path in paths]))
    shares = []
    for side in SIDES:
        pictures = torch.stack([torch.from_numpy(load_levels(path, side)) for path in paths])
        made = [to_levels(encoder.decode(encoder.encode(to_float(each))).clamp(0, 1)) for each in pictures.split(BATCH)]
        small = unit(np.stack([grey(load_levels(copy.permute(1, 2, 0).numpy(), SIDE)) for copy in torch.cat(made)]))
        shares.append(float(((originals * small).sum(1) >= SAME).mean()))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    folders = parser.parse_args().data
    table = pd.concat([read_dataset("open-pack", folder).table for folder in folders], ignore_index=True)
    rows = []
    for name, part in table.groupby("dataset"):
        best = strangers(part[part["split"] == "train"])
        shares = round_trips(list(part.loc[part["split"] == "val", "path"].sort_values().head(COPIED)))
        numbers = [f"{value:.3f}" for value in (np.median(best), np.quantile(best, 0.99), best.max())]
        rows.append(
            [str(name), f"{len(best):,}", *numbers, f"{(best >= SAME).mean():.2%}", *map("{:.0%}".format, shares)]
        )
        print(*rows[-1], flush=True)
    header = ["set", "pictures", "strangers: median", "99th percentile", "highest", f"from {SAME}"]
    header += [f"round trips at {side} px" for side in SIDES]
    write_text(f"{INTRODUCTION}\n\n{markdown(header, rows)}", PAGE)


if __name__ == "__main__":
    main()
