"""The page docs/generation-results.md, from what ``lcmem experiment`` wrote; nothing is measured here.

    python tools/generation.py [--table3 RUN] [--sizes RUN] [--near RUN] [--latents RUN]

The page goes without a part whose run is not named.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from lcmem.evaluation.tables import markdown, write_csv
from lcmem.files import read_json, write_text
from lcmem.generation.diffusion.settings import load_preset

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "generation"
INTRODUCTION = """# What small generators give away

Written by `tools/generation.py` from the tables of `lcmem experiment` ([how to run it](generation.md#experiments)).
Small diffusion models (EDM on the latents of `compact-autoencoder`, preset `cpu`: 96-pixel pictures, {steps:,}
steps of {batch}, {sampler} Heun steps a sample) are trained on two CPU cores: what they make is blurred, and the
point is not its quality but what is given away and who notices. Distances and retrieval scores are on the features
of {extractor}, so they are no FID. Matches are found as an audit finds them: by the score of
`{detector}`, or by their looks beside their best matches ([copies.md](copies.md)).
Thresholds are calibrated on the training pictures for a false positive rate of 1 %; held-out pictures of people that
the generator never saw are the control. Brackets hold 95 % intervals (retrieval score: 90 %)."""
TABLE3 = """## Table 3: five conditionings

    lcmem experiment table3 --data PACK --datasets {datasets} --preset cpu{changes} --out RUN

{pictures:,} training pictures with their labels, one sample for each. "paired" compares sample i with training
picture i (the paper's equation 4) at p > 0.5 and at the calibrated threshold, "any" each sample with all.
"published" is the paper's FID / IRS / paired rate: other pictures, another extractor and a far larger generator,
not to be compared in size."""
PRICE = """### Reject and draw again

The first {redrawn} samples of each, at the paper's threshold of p > 0.5, paired, at most {tries} tries. FD and IRS
are of these samples alone, so they are larger and smaller than above."""
SIZES = """## Memorization by the size of the training set

    lcmem experiment size-curve --data PACK --datasets {datasets} --preset cpu{changes} --out RUN

The same generator, without condition, trained for equal numbers of steps on fewer or more pictures; {samples}
samples of each against its own training pictures.

![share of samples that match a training picture, by the size of the training set](generation/sizes.png)"""
NEAR = """## Near-duplicates

    lcmem experiment near-duplicates --data PACK --datasets {datasets} --preset cpu{changes} {compared} --out RUN

Filters find real pictures again but are said to miss near-duplicates that a generator makes of them, and to change
their mind from one repetition to the next (Koeken et al. 2025). {originals} training pictures and {originals}
held-out pictures are noised to σ and denoised by the generator of {size:,} pictures, {repeats} times each. Every
detector has the threshold of its own calibration at 1 %; only an audit (`… as in an audit`) also looks at thumbnails.
"agree": share of originals whose repetitions all get the same verdict. At large σ little of the original is left, and
what is drawn there is a sample of the generator like any other.

![share flagged by noise level, for each detector](generation/near_duplicates.png)"""
LATENTS = """## On latents or on pictures

    lcmem experiment latent-filter --data PACK --datasets {datasets} --preset cpu --model {detector}{changes} --out RUN

The same latents judged as they are and decoded to pictures. On real pictures the difference is the autoencoder's
round trip; that of samples is to be held against it. Logits; the threshold is calibrated."""


def interval(row: pd.Series, name: str, form: str = "{:.1%}", ends: tuple[str, str] | None = None) -> str:
    if name not in row or row[name] != row[name]:
        return "–"
    low, high = ends or (f"{name}_low", f"{name}_high")
    value, low, high = (form.format(row[column]) for column in (name, low, high))
    return f"{value} [{low}, {high}]"


def changes(settings: dict[str, Any]) -> str:
    """What is not as in the preset, as options."""
    usual, given = (pd.json_normalize(each).iloc[0].to_dict() for each in (load_preset("cpu").to_dict(), settings))
    return "".join(
        f" --set {key}={json.dumps(value, separators=(',', ':'))}"
        for key, value in given.items()
        if value != usual[key]
    )


def about(run: Path) -> dict[str, object]:
    """What the page says of a run."""
    known = read_json(run / "experiment.json")
    settings = known["settings"]
    generator = settings["generator"]
    return {
        "datasets": ",".join(sorted(set(index_of(run)["dataset"]))),
        "steps": generator["steps"],
        "batch": generator["batch_size"],
        "sampler": settings["sampler_steps"],
        "tries": settings["max_tries"],
        "samples": settings["samples"],
        "changes": changes(settings),
        "size": max(settings["sizes"]),
        "originals": settings["originals"],
        "repeats": settings["repeats"],
        "detector": known["detector"][0],
        "extractor": known["extractor"][0],
    }


def index_of(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "latents" / "index.parquet", columns=["dataset", "split"])


def table3(run: Path) -> list[str]:
    table, known = pd.read_csv(run / "table3.csv"), about(run)
    header = ["conditioning", "FD", "FD floor", "IRS", "paired, p > 0.5", "paired, calibrated", "any", "held out"]
    rows = [
        [
            row["strategy"],
            interval(row, "fd", "{:.2f}"),
            f"{row['fd_floor']:.2f}",
            interval(row, "irs", "{:.3f}"),
            *(interval(row, name) for name in ("paired", "paired_calibrated", "one_vs_all", "holdout")),
            f"{row['published_fid']:.2f} / {row['published_irs']:.3f} / {row['published_memorization']:.2%}",
        ]
        for _, row in table.iterrows()
    ]
    blocks = [
        TABLE3.format(**known, pictures=int((index_of(run)["split"] == "train").sum())),
        markdown([*header, "published"], rows),
    ]
    price = ["conditioning", "matched at first", "drawn", "given up", "matched after", "FD before → after", "IRS"]
    rows = [
        [
            row["strategy"],
            f"{row['redrawn_first_rate']:.1%}",
            f"{row['redrawn_drawn'] / row['redrawn']:.3f} a sample",
            f"{row['redrawn_given_up']:.0f}",
            f"{row['redrawn_rate_after']:.1%}",
            f"{row['redrawn_fd_before']:.2f} → {row['redrawn_fd_after']:.2f}",
            f"{row['redrawn_irs_before']:.3f} → {row['redrawn_irs_after']:.3f}",
        ]
        for _, row in table.iterrows()
    ]
    redrawn = int(table["redrawn"].max())
    return [*blocks, PRICE.format(redrawn=redrawn, tries=known["tries"]), markdown(price, rows)]


def sizes(run: Path) -> list[str]:
    table = pd.read_csv(run / "sizes.csv")
    header = ["training pictures", "samples that match one", "held-out pictures that match one", "threshold (logit)"]
    rows = [
        [f"{row['pictures']:.0f}", interval(row, "samples"), interval(row, "holdout"), f"{row['threshold']:.2f}"]
        for _, row in table.iterrows()
    ]
    return [SIZES.format(**about(run)), markdown(header, rows)]


def near_duplicates(run: Path) -> list[str]:
    table = pd.read_csv(run / "near_duplicates.csv")
    good = table[table["status"] == "ok"]
    sigmas = sorted(set(good["sigma"]))
    rows = []
    for (name, kind), part in good.groupby(["detector", "set"], sort=False):
        at = part.set_index("sigma")
        cells = [
            f"{interval(at.loc[sigma], 'flagged', '{:.0%}', ('low', 'high'))}, {at.loc[sigma, 'agreeing']:.0%}"
            for sigma in sigmas
        ]
        rows.append([str(name), "training" if kind == "training" else "held out", *cells])
    header = ["detector", "made of", *(f"σ = {sigma:g}: flagged, agree" for sigma in sigmas)]
    names = ",".join(name for name in dict.fromkeys(table["detector"]) if " " not in name)
    failed = table[table["status"] != "ok"]
    lines = [f"{row['detector']}: {row['status']}" for _, row in failed.iterrows()]
    return [NEAR.format(**about(run), compared=f"--detectors {names}"), markdown(header, rows), *lines]


def latents(run: Path) -> list[str]:
    table = pd.read_csv(run / "latent_filter.csv")
    header = ["set", "pictures", "flagged: latents", "flagged: pictures", "same verdict", "same real picture"]
    rows = [
        [
            row["set"],
            str(row["pictures"]),
            *(f"{row[name]:.1%}" for name in ("flagged_latents", "flagged_pictures", "same_verdict")),
            f"{row['same_real_picture']:.1%}",
            f"{row['difference_mean']:+.2f}",
            f"{row['difference_median']:.2f}",
            f"{row['difference_95']:.2f}",
        ]
        for _, row in table.iterrows()
    ]
    header += ["mean difference", "median of its size", "95th percentile"]
    return [LATENTS.format(**about(run)), markdown(header, rows)]


PARTS = {
    "table3": (table3, ["table3"]),
    "sizes": (sizes, ["sizes"]),
    "near": (near_duplicates, ["near_duplicates"]),
    "latents": (latents, ["latent_filter"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument(f"--{part}", type=Path, metavar="RUN", help="its folder")
    runs = {part: run for part, run in vars(parser.parse_args()).items() if run is not None}
    if not runs:
        parser.error("name a run")
    FOLDER.mkdir(exist_ok=True)
    blocks = [INTRODUCTION.format(**about(next(iter(runs.values()))))]
    for part, run in runs.items():
        write, names = PARTS[part]
        for name in names:
            write_csv(pd.read_csv(run / f"{name}.csv"), FOLDER / f"{name}.csv")
            if (run / f"{name}.png").is_file():
                shutil.copyfile(run / f"{name}.png", FOLDER / f"{name}.png")
        blocks += write(run)
    write_text("\n\n".join(blocks), DOCS / "generation-results.md")


if __name__ == "__main__":
    main()
