"""Every benchmark of the paper on one set of labelled pictures, and the page docs/benchmarks.md from the results.

    python tools/paper.py --data DATA --out RESULTS [--single-stage RUN/stage1] [--detectors a,b] [--page-only]

DATA is a manifest with the splits train, val and test, or the folder of a pack. The task-specific baselines are trained
first, by the recipes in tools/baselines, unless RESULTS/baselines holds them. Features are kept in RESULTS/cache:
started again, only what is missing is made.
"""

import argparse
import os
import re
import shutil
import time
from pathlib import Path

import pandas as pd

from lcmem.detectors.registry import REGISTRY
from lcmem.evaluation.copy.run import benchmark_copy
from lcmem.evaluation.joint import joint
from lcmem.evaluation.one_vs_all import benchmark_one_vs_all
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.evaluation.speed import benchmark_speed
from lcmem.evaluation.tables import markdown, write_text
from lcmem.pictures.manifest import Manifest
from lcmem.training.presets import load_recipe
from lcmem.training.recipe import Recipe
from lcmem.training.run import train

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PROTOCOLS = ("fixed", "paper")
BASELINES = ("siamese", "ntxent", "ntxent-unsupervised")
FIGURES = ("reid.png", "reliability.png", "copy-strongest.png", "copy-strengths.png", "joint.png")
TABLES = ("reid.csv", "copy.csv", "copy_map.csv", "joint.csv")


def train_baselines(manifest: Manifest, folder: Path) -> list[str]:
    """The names of the trained baselines, as detectors."""
    names = []
    for name in BASELINES:
        recipe = load_recipe(str(HERE / "baselines" / f"{name}.toml"))
        assert isinstance(recipe, Recipe)
        names.append(f"{name}={train(recipe, manifest, folder / name)}")
    return names


def measure(manifest: Manifest, detectors: list[str], checkpoints: list[str], out: Path, pictures: int) -> None:
    """Both protocols of both tasks, one-vs-all, the joint figure and speed."""
    test, val = (manifest.select(split=split) for split in ("test", "val"))
    for protocol in PROTOCOLS:
        folder = out / protocol
        benchmark_reid(test, detectors, folder, protocol=protocol, cache=out / "cache")
        benchmark_copy(manifest, detectors, folder, protocol=protocol, pictures=pictures, cache=out / "cache")
        joint(folder)
    benchmark_one_vs_all(test, val, checkpoints, out / "fixed", cache=out / "cache")
    benchmark_speed(detectors, out)


def build_page(out: Path) -> str:
    """The page, and its figures and tables beside it."""
    target = DOCS / "benchmarks"
    shutil.rmtree(target, ignore_errors=True)
    for protocol in PROTOCOLS:
        (target / protocol).mkdir(parents=True)
        for name in (*FIGURES, *TABLES):
            shutil.copyfile(out / protocol / name, target / protocol / name)
    for path in (out / "fixed").glob("one_vs_all*"):
        if path.suffix in (".png", ".csv"):
            shutil.copyfile(path, target / "fixed" / path.name)
    blocks = [(HERE / "page.md").read_text(encoding="utf-8").rstrip()]
    for protocol in PROTOCOLS:
        blocks.append(f"## Protocol `{protocol}`")
        for task, figures in (("reid", FIGURES[:2]), ("copy", FIGURES[2:4])):
            blocks.append(demoted((out / protocol / f"{task}.md").read_text(encoding="utf-8")))
            blocks += [f"![{task}](benchmarks/{protocol}/{name})" for name in figures]
        blocks += ["### Both tasks", f"![both tasks](benchmarks/{protocol}/joint.png)"]
    blocks += ["## One-vs-all", one_vs_all(out / "fixed" / "one_vs_all.csv")]
    blocks += [f"![{path.stem}](benchmarks/fixed/{path.name})" for path in sorted((target / "fixed").glob("one_*.png"))]
    shutil.copyfile(out / "speed.csv", target / "speed.csv")
    blocks += ["## Speed", speed(out / "speed.csv")]
    blocks += ["## Published numbers", published()]
    return "\n\n".join(blocks)


def demoted(text: str) -> str:
    """Markdown with its headings two levels further down."""
    return re.sub(r"^(#+ )", r"##\1", text.strip(), flags=re.MULTILINE)


def one_vs_all(path: Path) -> str:
    """The table as Markdown."""
    table = pd.read_csv(path)
    shown = ["dataset", "detector", "threshold_rule", "n_pictures", "n_identities", "n_positive", "n_negative"]
    rows = [
        [
            *(str(row[name]) for name in shown),
            *(share(row[name]) for name in ("recall", "false_positive_rate")),
            f"{row['false_rejects']:.0f} ({share(row['false_reject_rate'])}, "
            f"{share(row['false_reject_rate_low'])} to {share(row['false_reject_rate_high'])})",
            f"{row['seconds']:.2f}",
        ]
        for _, row in table[table["status"] == "ok"].iterrows()
    ]
    header = ["dataset", "detector", "threshold", "pictures", "identities", "positive pairs", "negative pairs"]
    return markdown([*header, "positives found", "negatives matched", "pictures rejected by mistake", "s"], rows)


def speed(path: Path) -> str:
    """The table as Markdown."""
    table = pd.read_csv(path)
    rows = [
        [
            row["detector"],
            *(f"{row[name]:,.0f}" for name in ("dims", "images_per_second", "pairs_per_second", "peak_memory_mb")),
        ]
        for _, row in table[table["status"] == "ok"].iterrows()
    ]
    return "\n\n".join(
        (
            f"By `lcmem benchmark speed` on {os.cpu_count()} CPU cores: random pictures of 256×256 pixels, each "
            "detector in a process of its own, pairs without the scan engine (`docs/scan.md`). Pixel metrics have "
            "nothing to do for a picture but to copy it: their work is in the pairs.",
            markdown(["detector", "numbers in a feature", "pictures/s", "pairs/s", "peak memory, MB"], rows),
        )
    )


def share(value: float) -> str:
    """Per cent, or a dash."""
    return "–" if value != value else f"{100 * value:.3g} %"


def published() -> str:
    """Tables 2 and 4 of the paper, as printed there."""
    table = pd.read_csv(HERE / "published" / "table2.csv", dtype=str)
    wide = table.assign(cell=table["auc"] + " / " + table["specificity_at_99_sensitivity"])
    datasets = [*dict.fromkeys(table["dataset"])]
    rows = [
        [family, method, *part.set_index("dataset")["cell"][datasets]]
        for (family, method), part in wide.groupby(["family", "method"], sort=False)
    ]
    ablation = pd.read_csv(HERE / "published" / "table4.csv", dtype=str)
    return "\n\n".join(
        (
            "Copied from the paper (Dombrowski, Nützel, Kainz 2025), not measured here, and on other pictures: compare "
            "the order of the methods, not the numbers.",
            "### Table 2 (published): AUC / specificity at 99 % sensitivity",
            markdown(["family", "method", *datasets], rows),
            "### Table 4 (published): ablation, micro average",
            markdown(list(ablation.columns), ablation.to_numpy().tolist()),
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--single-stage", type=Path, help="stage 1 of the bundled model")
    default = "mse,ncc,ssim,random,phash,pdq,efficientnet-lite0,compact"
    parser.add_argument(
        "--detectors", default=default, help=f"beside the baselines; default {default}; 'all' there are"
    )
    parser.add_argument("--pictures", type=int, default=1000, help="test pictures that are copied")
    parser.add_argument("--page-only", action="store_true", help="only build the page from RESULTS")
    arguments = parser.parse_args()
    if not arguments.page_only:
        began = time.perf_counter()
        manifest = Manifest.read(arguments.data)
        baselines = train_baselines(manifest, arguments.out / "baselines")
        single = [f"compact-single-stage={arguments.single_stage}"] if arguments.single_stage else []
        plain = [name for name, entry in REGISTRY.items() if entry.weights != "local"]
        chosen = plain if arguments.detectors == "all" else arguments.detectors.split(",")
        detectors = [*chosen, *baselines, *single]
        measure(manifest, detectors, ["compact", *single], arguments.out, arguments.pictures)
        print(f"measured in {(time.perf_counter() - began) / 60:.1f} minutes")
    write_text(build_page(arguments.out), DOCS / "benchmarks.md")
    print(f"page: {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
