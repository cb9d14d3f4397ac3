"""What each part of the bundled models' recipes is worth: trains each recipe of tools/ablation; docs/ablation.md.

    python tools/ablation.py DATA … --out RUNS [--recipes a,b] [--page-only]

DATA are folders of packs. All recipes see the same part of the training identities, for as many steps, on one machine;
started again, what is there already is not trained again.
"""

import argparse
from pathlib import Path

import pandas as pd

from lcmem.checkpoints import CARD
from lcmem.evaluation.ablation import benchmark_ablation
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.pictures.manifest import Manifest
from lcmem.training.fit import RunOptions

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "ablation.md"
RECIPES = (
    "pixels",
    "pixels-without-face-teacher",
    "pixels-without-general-teacher",
    "pixels-without-teachers",
    "pixels-random",
    "pixels-small",
    "convnext-pixels",
    "latents",
)
STAGES = [f"{name}/stage1" for name in RECIPES] + ["latents/stage2"]
STEPS = 60
MOST = {"train": 500, "val": 100}
"""Identities, or pictures without one, of each dataset; ``test`` is whole."""
INTRODUCTION = """# What each part is worth

Written by `python tools/ablation.py DATA …`: each recipe of `tools/ablation` trained for {steps} steps of 128 pairs
(two to four minutes of two CPU cores; the bundled model had over a hundred times as many; `latents/stage2` 60 of 64
more) on {train} pictures, at most {most} identities a dataset, and measured once on the split `test`. So the table says
what the parts of a recipe bring early, not where each would end.

- `pixels`: EfficientNet-Lite0 from ImageNet weights, the teachers SFace and the untouched EfficientNet-Lite0.
- `pixels-without-…`: without one teacher, or both.
- `pixels-random`, `pixels-small`: both teachers, but from random weights; the same network, and MobileNetV3-small.
- `latents`: the ConvNeXt of `compact-latent` from random weights on latents of 256-pixel pictures, without edits
  (`stage1`) and with them (`stage2`).
- `convnext-pixels`: the same network on pictures of 64 pixels, as many places as the latents have.

The released models at their full length stand side by side in [models.md](models.md), trials in
[model-log.md](model-log.md).

**{what}**, re-identification by dataset, 95 % intervals over identities:"""


def subset(folders: list[Path]) -> Manifest:
    """Some identities of each dataset's splits train and val, and all of test."""
    table = pd.concat([Manifest.read(folder).table for folder in folders], ignore_index=True)
    table = table.drop_duplicates(["dataset", "sha256"])
    shown = table["identity"].where(table["identity"] != "", table["path"])
    parts = []
    for (_, split), part in table.groupby(["dataset", "split"]):
        size = shown[part.index].map(shown[part.index].value_counts())
        order = pd.DataFrame({"several": size > 1, "shown": shown[part.index], "mark": part["sha256"]})
        first = order.sort_values(["several", "mark"], ascending=[False, True])["shown"].unique()
        parts.append(part[shown[part.index].isin(first[: MOST.get(split, len(first))])])
    return Manifest(pd.concat(parts).reset_index(drop=True))


def page(reid: pd.DataFrame, train: int) -> str:
    """The page from what ``benchmark_reid`` wrote."""
    text = []
    for column, what in (("auc", "AUC"), ("specificity_at_99_sensitivity", "Specificity at 99 % sensitivity")):
        names = [name for name in reid["dataset"].unique() if name not in ("macro", "micro")]
        rows = []
        for recipe in STAGES:
            part = reid[reid["detector"] == recipe].set_index("dataset")
            if len(part):
                rows.append([recipe, *(cell(part.loc[name], column) for name in ("macro", *names))])
        head = INTRODUCTION.format(steps=STEPS, train=f"{train:,}", most=MOST["train"], what=what)
        text.append(head if not text else f"**{what}**:")
        text.append(markdown(["recipe", "macro", *names], rows))
    return "\n\n".join(text)


def cell(row: pd.Series, column: str) -> str:
    return f"{row[column]:.3f} ({row[f'{column}_low']:.3f}–{row[f'{column}_high']:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--page-only", action="store_true")
    arguments = parser.parse_args()
    manifest = subset(arguments.data)
    if not arguments.page_only:
        paths = [str(HERE / "ablation" / f"{name}.toml") for name in arguments.recipes.split(",")]
        options = RunOptions(workers=1, teachers=arguments.out / "teachers")
        settings = ["stage1.epochs=1", f"stage1.steps_per_epoch={STEPS}"]
        trained = benchmark_ablation(manifest, paths, arguments.out, settings=settings, options=options)
        print(trained[["recipe", "accuracy", "auc", "status"]].to_string(), flush=True)
        stages = [str(arguments.out / stage) for stage in STAGES if (arguments.out / stage / CARD).is_file()]
        benchmark_reid(manifest.select(split="test"), stages, arguments.out / "reid")
    reid = pd.read_csv(arguments.out / "reid" / "reid.csv")
    reid["detector"] = reid["detector"].map(lambda name: "/".join(Path(name).parts[-2:]))
    write_text(page(reid, len(manifest.select(split="train"))), PAGE)


if __name__ == "__main__":
    main()
