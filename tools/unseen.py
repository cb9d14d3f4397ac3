r"""Make a table of pictures of kinds whose identities no detector here was trained on: emoji, figures, objects.

    npm pack emoji-datasource-google@15.1.2 emoji-datasource-apple@15.1.2   # unpacked, GOOGLE and APPLE
    apt-get download wesnoth-1.16-data                                      # in it UNITS, …/data/core/images/units
    apt-get download unknown-horizons                                       # 2019.1; OBJECTS, …/content/gfx
    python tools/unseen.py GOOGLE APPLE UNITS OBJECTS --out unseen
    lcmem benchmark reid --data unseen/unseen.csv \
        --detectors mse,ssim,phash,pdq,efficientnet-lite0,compact-latent,compact --out results
    lcmem benchmark copy --data unseen/halves.csv --transforms stage-2 --pictures 300 \
        --detectors phash,pdq,efficientnet-lite0,compact --out results

An emoji is one identity, drawn by two vendors; a figure of a game is one in four of its poses; an object of another one
(a building, a tree, an animal, a ship), computed from its model, is one from four sides. They tell how much a detector
knows of what it did not learn, not how good it is at anything that a user has. For edited copies half of the identities
are val, which thresholds are taken from.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from lcmem.pictures.splits import hash_splits

CATEGORIES = ("Animals & Nature", "Food & Drink", "Objects", "Activities", "Travel & Places")
"""Not smileys and people: half of them differ by colour of skin only."""
POSES = 4
POSE = re.compile(
    r"-(?:n|s|ne|se|nw|sw|attack|base|bite|blade|block|bob|bow|cast|casting|claws|crossbow|dagger|death|defend|die|fire"
    r"|float|fly|flying|hammer|axe|heal|healing|idle|kick|leading|mace|magic|melee|moving|ranged|run|slash|spear|staff"
    r"|stand|standing|sting|sword|takeoff|throw|thunder|wingbeat)\b|-?\d"
)
"""What follows the name of a figure in the name of a pose's file."""

OBJECT = re.compile(r"(.*/(?:as|ts)_[^/]+)/[^/]+/(\d+)/[^/]+\.png$")
"""Object and direction in a file's path; between them, what it does there."""
ALIKE = ("base/", "street", "wall/")
"""Pieces of ground, of roads and of walls."""


def emoji(google: Path, apple: Path) -> Iterator[tuple[str, Path]]:
    """Identity and file of each emoji that both vendors have drawn."""
    for each in json.loads((google / "emoji.json").read_text(encoding="utf-8")):
        paths = [
            folder / "img" / name / "64" / each["image"] for folder, name in ((google, "google"), (apple, "apple"))
        ]
        if each["category"] in CATEGORIES and all(path.is_file() for path in paths):
            yield from ((each["short_name"], path) for path in paths)


def figures(units: Path, rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    """Identity and file of four poses of each figure that has so many."""
    poses = defaultdict(list)
    for path in sorted(units.rglob("*.png")):
        poses[str(path.parent.relative_to(units) / POSE.split(path.stem)[0])].append(path)
    for name, paths in poses.items():
        if len(paths) >= POSES:
            yield from ((name, paths[at]) for at in rng.permutation(len(paths))[:POSES])


def objects(graphics: Path, rng: np.random.Generator) -> Iterator[tuple[str, Path]]:
    """Identity and file of each object from four sides, of those that are shown from so many."""
    sides: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(graphics.rglob("*.png")):
        name = str(path.relative_to(graphics))
        shown = OBJECT.match(name)
        if shown and not any(each in name for each in ALIKE):
            sides[shown[1]][shown[2]].append(path)
    for name, found in sorted(sides.items()):
        if len(found) >= POSES:
            for side in rng.permutation(sorted(found, key=int))[:POSES]:
                yield name, found[side][rng.integers(len(found[side]))]


def on_white(path: Path) -> Image.Image | None:
    """What is drawn, cut out and on white; None where nothing is."""
    with Image.open(path) as opened:
        picture = opened.convert("RGBA")
    box = picture.getchannel("A").getbbox()
    white = Image.new("RGBA", picture.size, "white")
    return None if box is None else Image.alpha_composite(white, picture).convert("RGB").crop(box)


def main() -> None:
    """Parse, write the pictures and their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("google", "apple", "units", "objects"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = {
        "emoji": emoji(arguments.google, arguments.apple),
        "figures": figures(arguments.units, np.random.default_rng(0)),
        "objects": objects(arguments.objects, np.random.default_rng(0)),
    }
    rows = []
    for dataset, found in sets.items():
        (arguments.out / dataset).mkdir(parents=True, exist_ok=True)
        for number, (identity, path) in enumerate(found):
            picture = on_white(path)
            if picture is not None:
                name = f"{dataset}/{number}.png"
                picture.save(arguments.out / name)
                rows.append({"path": name, "identity": identity, "dataset": dataset, "split": "test"})
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / "unseen.csv", index=False)
    halves = hash_splits(table["identity"], val=0.5, test=0.5)
    table.assign(split=halves).to_csv(arguments.out / "halves.csv", index=False)
    print(table.groupby("dataset")["identity"].agg(["size", "nunique"]))


if __name__ == "__main__":
    main()
