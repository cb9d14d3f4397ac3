"""Every benchmark of the paper on one set of labelled pictures, and the page docs/benchmarks.md from the results.

    python tools/paper.py --data DATA --out RESULTS [--protocols fixed] [--detectors a,b] [--page-only]

DATA is a manifest with the splits train, val and test, or the folder of a pack. The task-specific baselines that are
named are trained first, by the recipes in tools/baselines, unless RESULTS/baselines holds them. Detectors of faces see
the sets of faces alone. Features are kept in RESULTS/cache: started again, only what is missing is made.
"""

import argparse
import os
import re
import shutil
import time
from pathlib import Path

import pandas as pd

from lcmem.detectors.registry import REGISTRY
from lcmem.evaluation.audits import KINDS, benchmark_audit
from lcmem.evaluation.copy.run import benchmark_copy
from lcmem.evaluation.joint import joint
from lcmem.evaluation.one_vs_all import benchmark_one_vs_all
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.evaluation.speed import benchmark_speed
from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.pictures.manifest import Manifest
from lcmem.training.presets import load_recipe
from lcmem.training.recipe import Recipe
from lcmem.training.run import train

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PROTOCOLS = ("fixed", "paper")
BASELINES = ("siamese", "ntxent", "ntxent-unsupervised")
DETECTORS = (
    "mse",
    "ncc",
    "ssim",
    "random",
    "phash",
    "pdq",
    "efficientnet-lite0",
    *BASELINES,
    "compact-latent",
    "compact",
)
FACES = ("sface-celeba", "sface", "dlib")
FACE_SETS = ("celeba", "celeba64")
CHECKPOINTS = ("compact", "compact-latent")
FIGURES = ("reid.png", "reliability.png", "copy-strongest.png", "copy-strengths.png", "joint.png")
TABLES = ("reid.csv", "copy.csv", "copy_map.csv", "joint.csv")


def with_baselines(names: list[str], manifest: Manifest, folder: Path) -> list[str]:
    """The names of detectors; a baseline is trained, and its checkpoint named."""
    found = []
    for name in names:
        if name in BASELINES:
            recipe = load_recipe(str(HERE / "baselines" / f"{name}.toml"))
            assert isinstance(recipe, Recipe)
            name = f"{name}={train(recipe, manifest, folder / name)}"
        found.append(name)
    return found


def measure(manifest: Manifest, detectors: list[str], protocols: list[str], out: Path, pictures: int) -> None:
    """Both tasks by each protocol, faces, one-vs-all, audits, the joint figure and speed."""
    test, val = (manifest.select(split=split) for split in ("test", "val"))
    cache = out / "cache"
    for protocol in protocols:
        folder = out / protocol
        benchmark_reid(test, detectors, folder, protocol=protocol, cache=cache)
        benchmark_copy(manifest, detectors, folder, protocol=protocol, pictures=pictures, cache=cache)
        joint(folder)
    faces = test.rows(test.table.index[test.table["dataset"].isin(FACE_SETS)])
    if len(faces):
        benchmark_reid(faces, [*FACES, "efficientnet-lite0", *CHECKPOINTS], out / "faces", cache=cache)
    benchmark_one_vs_all(test, val, CHECKPOINTS, out, cache=cache)
    benchmark_audit(test, [*CHECKPOINTS, "efficientnet-lite0"], out)
    benchmark_speed(detectors, out)


def build_page(out: Path) -> str:
    """The page, and its figures and tables beside it."""
    target = DOCS / "benchmarks"
    shutil.rmtree(target, ignore_errors=True)
    protocols = [name for name in PROTOCOLS if (out / name / "joint.csv").is_file()]
    for protocol in protocols:
        (target / protocol).mkdir(parents=True)
        for name in (*FIGURES, *TABLES):
            shutil.copyfile(out / protocol / name, target / protocol / name)
    for path in [*out.glob("one_vs_all*"), out / "audits.csv", out / "speed.csv"]:
        if path.suffix in (".png", ".csv"):
            shutil.copyfile(path, target / path.name)
    blocks = [(HERE / "page.md").read_text(encoding="utf-8").rstrip()]
    for protocol in protocols:
        blocks.append(f"## Protocol `{protocol}`")
        for task, figures in (("reid", FIGURES[:2]), ("copy", FIGURES[2:4])):
            blocks.append(demoted((out / protocol / f"{task}.md").read_text(encoding="utf-8")))
            blocks += [f"![{task}](benchmarks/{protocol}/{name})" for name in figures]
        blocks += ["### Both tasks", f"![both tasks](benchmarks/{protocol}/joint.png)"]
    if (out / "faces").is_dir():
        blocks += ["## Faces", demoted((out / "faces" / "reid.md").read_text(encoding="utf-8"))]
    blocks += ["## Audits", AUDITS, audits(out / "audits.csv")]
    blocks += ["## One-vs-all", one_vs_all(out / "one_vs_all.csv")]
    blocks += [f"![{path.stem}](benchmarks/{path.name})" for path in sorted(target.glob("one_*.png"))]
    blocks += ["## Speed", speed(out / "speed.csv")]
    blocks += ["## Published numbers", published()]
    return "\n\n".join(blocks)


AUDITS = """Each data set is audited as a user would do it (`lcmem benchmark audit`): half of its people make the
real set, on which the audit calibrates itself for a false positive rate of 1 %. The synthetic pictures are real
ones of which it is known what should be found: another photo of someone in the real set, a copy after one edit
(JPEG 75, half the size, a fifth brighter, 90 % of each side), a copy after about five edits at once, a copy through
the small autoencoder at 96 pixels (what a small latent generator makes of a picture it learnt by heart), the left half
of a picture beside the right half of an unseen one, and pictures of the other half of the people, which are unseen.
Share found, with its 95 % interval; in brackets how many pictures."""


def audits(path: Path) -> str:
    """The table as Markdown: a row for each data set and detector."""
    table = pd.read_csv(path)
    table = table[table["status"] == "ok"]
    rows = []
    for (dataset, detector), part in table.groupby(["dataset", "detector"], sort=False):
        by_kind = part.set_index("kind")
        cells = [
            f"{share(row['share'])} ({share(row['share_low'])} to {share(row['share_high'])}) [{row['pictures']:.0f}]"
            for row in (by_kind.loc[kind] for kind in KINDS)
        ]
        rows.append([dataset, detector, f"{part['n_identities'].iloc[0]:.0f}", *cells])
    return markdown(["data set", "detector", "people in the real set", *KINDS], rows)


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
    parser.add_argument(
        "--detectors", default=",".join(DETECTORS), help=f"default {','.join(DETECTORS)}; 'all' there are"
    )
    parser.add_argument("--protocols", default=",".join(PROTOCOLS))
    parser.add_argument("--pictures", type=int, default=1000, help="test pictures that are copied")
    parser.add_argument("--page-only", action="store_true", help="only build the page from RESULTS")
    arguments = parser.parse_args()
    if not arguments.page_only:
        began = time.perf_counter()
        manifest = Manifest.read(arguments.data)
        plain = [name for name, entry in REGISTRY.items() if entry.weights != "local"]
        chosen = plain if arguments.detectors == "all" else arguments.detectors.split(",")
        detectors = with_baselines(chosen, manifest, arguments.out / "baselines")
        measure(manifest, detectors, arguments.protocols.split(","), arguments.out, arguments.pictures)
        print(f"measured in {(time.perf_counter() - began) / 60:.1f} minutes")
    write_text(build_page(arguments.out), DOCS / "benchmarks.md")
    print(f"page: {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
