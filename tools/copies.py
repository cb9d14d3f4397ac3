"""How alike thumbnails of strangers are, and of pictures and their copies, soft or strongly edited: docs/copies.md.

python tools/copies.py DATA [DATA …]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from population import read_packs

from lcmem.augment import Augmentation
from lcmem.detectors.base import Detector
from lcmem.detectors.registry import load_detector
from lcmem.edits import jpeg_coded
from lcmem.encoders import load_encoder
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.matching.compare import compare
from lcmem.matching.correlations import RANKS, correlate
from lcmem.matching.look_levels import LEAST, MOST, MOST_OF_ALL, Look, measure_look
from lcmem.matching.overview import SMALL, Overview
from lcmem.matching.parts import BLOCK, PART
from lcmem.matching.thumbnails import SAME, SIDE, grey
from lcmem.pictures.image import load_levels
from lcmem.pictures.loading import iterate_pictures, to_float, to_levels
from lcmem.stats.chance import Chance

PAGE = Path(__file__).parent.parent / "docs" / "copies.md"
PICTURES, COPIED, SIDES, EDITED, NOISE = 500, 100, (64, 96, 128), 256, 0.3
SOFT, QUALITY, GREY, INSET = 96, 60, 115, 0.6
INTRODUCTION = f"""# Copies seen small

Written by `python tools/copies.py DATA …`. An audit looks at each generated picture and the {RANKS} real pictures
that the model finds most like it, seen small: is it the same picture as one of them, or its mirror image, as it is
(in {SIDE // 2} × {SIDE // 2} grey pixels) or once it is laid over it, turned, cropped and mirrored (in {SIDE} ×
{SIDE}; as a whole, or in its details), or is a third of it at least ({PART:.0%} of overlapping squares of {BLOCK} of
{SIDE} pixels, where they are), or is the whole of one a part of it? And is it like any real picture at all, turned by
quarters, mirrored or as a negative, very small (in {SMALL} × {SMALL})? From which correlation on it then matches is
measured on the set's own strangers for each, about halfway between what 99.5 % of them reach at most and 1, between
{LEAST} and {MOST}, the last up to {MOST_OF_ALL} ([verdicts](auditing.md#two-verdicts)). From {SAME} on a whole
picture is a copy.

**Strangers**: what the best matches among other identities reach, for up to {PICTURES} pictures of each set's split
train, as they are, laid over each other, in their details, in a third, the other in a part, and very small among all
of these pictures: 99.5 % of them at most, and the highest. `brain_mri` has no identities: what is alike there are
mostly neighbouring slices of one patient.

**Looks alone**, whatever the score, find: of as many pictures of the split val, whose best matches are compared with
the levels of the split train, **strangers**; and of {COPIED} of them **round trips** through `compact-autoencoder` at
a few sizes, which is what a small latent generator makes of a picture that it learnt by heart, **heavy edits** (about
five at once, as `lcmem benchmark audit` makes them), the pictures **turned** by 90°, as **negatives**, and **noisy**
(at 64 × 64, with a standard deviation of {NOISE:g} of the range of grey values), each compared with its own original;
very small, with all of these originals, of which it must be the most alike.

**Parts**: of {COPIED} pictures of the split val, the left half **covered** with grey, the left **half** and the
**middle** (half of each side) **of another** of these pictures; or the picture in a plain **frame**, and **inside
another** one, at {INSET:.0%} of the side; then saved at {SOFT} × {SOFT} pixels as JPEG {QUALITY}; found by any look
among the {RANKS} real pictures of all {PICTURES} that the model finds most like it, with the original among them."""


def thumbnails(paths: list[str]) -> tuple[list[int], list[np.ndarray]]:
    """Positions of the pictures that can be read, and these in grey ``[SIDE, SIDE]``."""
    batches = list(iterate_pictures(paths, SIDE))
    small = [grey(picture) for batch in batches for picture in batch.pictures.numpy()]
    return [at for batch in batches for at in batch.indices], small


def chance_looks(part: pd.DataFrame, detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    """Highest correlations ``[n, W]`` of pictures with their best matches among other identities; the identities."""
    part = part.sort_values("path", kind="stable").sample(min(len(part), PICTURES), random_state=0)
    read, small = thumbnails(list(part["path"]))
    paths = list(part["path"].to_numpy()[read])
    people = pd.factorize(part["identity"].where(part["identity"] != "", part["path"]).to_numpy()[read])[0]
    features = torch.cat([each for _, each in detector.stream(paths)]).numpy()
    best = compare(features, None, detector, k=RANKS, query_identities=people.astype(np.int64)).different
    assert best is not None
    pairs = [(small[one], small[two]) for one, row in enumerate(best.positions) for two in row]
    looks = correlate([one for one, _ in pairs], [two for _, two in pairs])
    alike = Overview(small).nearest(small, (people, people)).alike
    return np.column_stack((looks.reshape(len(small), RANKS, -1).max(1), alike)), people


def found(copies: list[np.ndarray], originals: list[np.ndarray], look: Look) -> str:
    """Share of copies ``[H, W, 3]`` that match their originals by their looks."""
    small = [grey(load_levels(copy, SIDE)) for copy in copies]
    nearest = Overview(originals).nearest(small)
    alike = np.where(nearest.positions == np.arange(len(small)), nearest.alike, -1)
    return f"{look.hits(np.column_stack((correlate(small, originals), alike))).mean():.0%}"


@torch.inference_mode()
def copies_found(paths: list[str], look: Look) -> list[str]:
    """Of round trips of each of :data:`SIDES`, heavy edits, turned pictures, negatives and noisy ones."""
    encoder, originals = load_encoder("compact-autoencoder"), [grey(load_levels(path, SIDE)) for path in paths]
    shares = []
    for side in SIDES:
        pictures = torch.stack([torch.from_numpy(load_levels(path, side)) for path in paths])
        made = [to_levels(encoder.round_trip(to_float(each)).clamp(0, 1)) for each in pictures.split(25)]
        shares.append(found(list(torch.cat(made).permute(0, 2, 3, 1).numpy()), originals, look))
    edited = [
        Augmentation()(to_float(torch.from_numpy(load_levels(path, EDITED))[None]), torch.Generator().manual_seed(at))
        for at, path in enumerate(paths)
    ]
    shares.append(found([to_levels(each)[0].permute(1, 2, 0).numpy() for each in edited], originals, look))
    levels, rng = [load_levels(path, SIDE).transpose(1, 2, 0) for path in paths], np.random.default_rng(0)
    noisy = [each + rng.normal(scale=255 * NOISE, size=each.shape) for each in levels]
    turned = found([np.rot90(each).copy() for each in levels], originals, look)
    negatives = found([255 - each for each in levels], originals, look)
    noise = found([each.clip(0, 255).astype(np.uint8) for each in noisy], originals, look)
    return [*shares, turned, negatives, noise]


def pasted(picture: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """A picture ``[H, W, 3]`` uint8 of which the left half is covered, or another's, or the middle is; framed, and
    inside the other."""
    side, made = len(picture), []
    half, middle = (slice(0, side), slice(0, side // 2)), (slice(side // 4, 3 * side // 4),) * 2
    for place, under in ((half, np.full_like(picture, GREY)), (half, other), (middle, other)):
        copy = picture.copy()
        copy[place] = under[place]
        made.append(jpeg_coded(copy, QUALITY))
    small = np.asarray(Image.fromarray(picture).resize((round(INSET * side),) * 2, Image.Resampling.BICUBIC))
    place = (slice((side - len(small)) // 2, (side + len(small)) // 2),) * 2
    for under in (np.full_like(picture, GREY), other):
        copy = under.copy()
        copy[place] = small
        made.append(jpeg_coded(copy, QUALITY))
    return made


@torch.inference_mode()
def parts_found(paths: list[str], detector: Detector, look: Look) -> list[str]:
    """Of the first pictures of some, in which others were pasted as by :func:`pasted`."""
    features = torch.cat([each for _, each in detector.stream(paths)])
    originals = [grey(load_levels(path, SIDE)) for path in paths]
    levels = [np.ascontiguousarray(load_levels(path, SOFT).transpose(1, 2, 0)) for path in paths[:COPIED]]
    made = [pasted(one, two) for one, two in zip(levels, levels[1:] + levels[:1], strict=True)]
    shares = []
    for kind in zip(*made, strict=True):
        small = [grey(load_levels(copy, SIDE)) for copy in kind]
        best = detector.similarities(detector.features(list(kind)), features).topk(RANKS, 1).indices
        at = [row for row, ranks in enumerate(best.tolist()) if row in ranks]
        looks = correlate([small[row] for row in at], [originals[row] for row in at])
        hits = look.hits(np.column_stack((looks, np.full(len(at), -1.0))))
        shares.append(f"{hits.sum() / len(small):.0%}")
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    folders = parser.parse_args().data
    table = read_packs(folders)
    detector, rows = load_detector("compact"), []
    for name, part in table.groupby("dataset"):
        looks, people = chance_looks(part[part["split"] == "train"], detector)
        look = measure_look(looks, Chance(looks[:, 0], people, mutual=True))
        others, _ = chance_looks(part[part["split"] == "val"], detector)
        reached = [f"{np.quantile(way, 0.995):.3f} / {way.max():.3f}" for way in looks.T]
        paths = list(part.loc[part["split"] == "val", "path"].sort_values().head(PICTURES))
        share = f"{look.hits(others).mean():.2%}"
        shares = [share, *copies_found(paths[:COPIED], look), *parts_found(paths, detector, look)]
        rows.append([str(name), f"{len(looks)} / {len(others)}", *reached, *shares])
        print(*rows[-1], flush=True)
    header = ["set", "train / val", "strangers, whole", "laid over", "details", "a third", "a part"]
    header += ["very small", "looks find strangers"]
    header += [*(f"round trips at {side} px" for side in SIDES), "heavy edits", "turned", "negatives", "noisy"]
    header += ["half covered", "half of another", "middle of another", "framed", "inside another"]
    write_text(f"{INTRODUCTION}\n\n{markdown(header, rows)}", PAGE)


if __name__ == "__main__":
    main()
