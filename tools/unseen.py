r"""Make a table of pictures of a kind that no detector here was trained on: emoji and the figures of a game.

    npm pack emoji-datasource-google@15.1.2 emoji-datasource-apple@15.1.2   # unpacked, GOOGLE and APPLE
    apt-get download wesnoth-1.16-data                                      # in it UNITS, …/data/core/images/units
    python tools/unseen.py GOOGLE APPLE UNITS --out unseen
    lcmem benchmark reid --data unseen/unseen.csv \
        --detectors mse,ssim,phash,pdq,efficientnet-lite0,compact-latent,compact --out results

An emoji is one identity, drawn by two vendors; a figure is one in four of its poses. They are drawings, not photos:
they tell how much a detector knows of what it did not learn, not how good it is at anything that a user has.
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

CATEGORIES = ("Animals & Nature", "Food & Drink", "Objects", "Activities", "Travel & Places")
"""Not smileys and people: half of them differ by colour of skin only."""
POSES = 4
POSE = re.compile(
    r"-(?:n|s|ne|se|nw|sw|attack|base|bite|blade|block|bob|bow|cast|casting|claws|crossbow|dagger|death|defend|die|fire"
    r"|float|fly|flying|hammer|axe|heal|healing|idle|kick|leading|mace|magic|melee|moving|ranged|run|slash|spear|staff"
    r"|stand|standing|sting|sword|takeoff|throw|thunder|wingbeat)\b|-?\d"
)
"""What follows the name of a figure in the name of a pose's file."""


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
    for name in ("google", "apple", "units"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = {
        "emoji": emoji(arguments.google, arguments.apple),
        "figures": figures(arguments.units, np.random.default_rng(0)),
    }
    rows = []
    for dataset, found in sets.items():
        (arguments.out / dataset).mkdir(parents=True, exist_ok=True)
        for number, (identity, path) in enumerate(found):
            picture = on_white(path)
            if picture is not None:
                path = f"{dataset}/{number}.png"
                picture.save(arguments.out / path)
                rows.append({"path": path, "identity": identity, "dataset": dataset, "split": "test"})
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / "unseen.csv", index=False)
    print(table.groupby("dataset")["identity"].agg(["size", "nunique"]))


if __name__ == "__main__":
    main()
