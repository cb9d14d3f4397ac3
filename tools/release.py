"""Put a trained detector into the package: checkpoint, card with its measurements, and docs/models.md.

    python tools/release.py RUN/stage2 MEASURED [--faces MEASURED]

MEASURED is the folder that ``lcmem benchmark reid`` and ``lcmem benchmark copy --transforms stage-2`` wrote for this
checkpoint, both on the test split; that of ``--faces`` is what ``lcmem benchmark reid`` wrote for the detectors of
faces on the sets of faces. Nothing is measured here.
"""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

from lcmem.checkpoints import BUNDLED, CARD

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "models"
LICENCE = (
    "Apache-2.0 for the weights as such; several of the training sets are for non-commercial research only, see "
    "training_data"
)


def release(checkpoint: Path, measured: Path, name: str, training_data: Path | None, faces: Path | None) -> None:
    metrics = card_metrics(measured)
    if faces is not None:
        metrics = pd.concat([metrics, by_dataset(pd.read_csv(faces / "reid.csv"))], ignore_index=True)
    metrics["detector"] = metrics["detector"].replace(str(checkpoint), name)
    if name not in set(metrics["detector"]):
        raise SystemExit(f"{measured}: no rows of {checkpoint}")
    target = BUNDLED / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(checkpoint, target)
    card = json.loads((target / CARD).read_text(encoding="utf-8"))
    card |= {"name": name, "licence": LICENCE}
    if training_data is not None:
        card["training_data"] = json.loads(training_data.read_text(encoding="utf-8"))
    card["metrics"] = json.loads(metrics.to_json(orient="records"))
    (target / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    shutil.copyfile(measured / "reliability.png", FIGURES / f"{name}-reliability.png")
    (ROOT / "docs" / "models.md").write_text(document(), encoding="utf-8")


def card_metrics(measured: Path) -> pd.DataFrame:
    """Each dataset by what it allows: re-identification where it has identities, else edited copies."""
    reid = by_dataset(pd.read_csv(measured / "reid.csv"))
    copies = pd.read_csv(measured / "copy_map.csv").query("transform == 'stage-2'").assign(task="copy")
    sizes = pd.read_csv(measured / "copy.csv").query("transform == 'stage-2'")
    keys, counts = ["dataset", "detector"], ["n_identities", "n_positive", "n_negative"]
    copies = copies.merge(sizes.drop_duplicates(keys)[keys + counts], on=keys)
    copies = copies[~copies["dataset"].isin([*reid["dataset"], "macro"])]
    return pd.concat([reid, copies[[*reid.columns.intersection(copies.columns)]]], ignore_index=True)


def by_dataset(reid: pd.DataFrame) -> pd.DataFrame:
    """What a card keeps of a table of re-identification, without its means."""
    counts = ["n_identities", "n_positive", "n_negative"]
    values = ["auc", "specificity_at_99_sensitivity", "ece", "ece_chance"]
    rows = reid[~reid["dataset"].isin(["macro", "micro"])].assign(task="re-identification")
    return rows[rows.columns.intersection(["dataset", "task", "detector", *counts, *values], sort=False)]


def wide(reid: pd.DataFrame, column: str) -> str:
    order = sorted(dict.fromkeys(reid["detector"]), key=lambda name: name != "compact")
    table = reid.pivot(index=["task", "dataset", "n_identities", "n_positive"], columns="detector", values=column)[
        order
    ]
    table = table.sort_index(level="task", ascending=False, sort_remaining=True).reset_index()
    return markdown(table.rename(columns={"n_identities": "identities", "n_positive": "positive pairs"}))


def markdown(table: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        if value != value:
            return "–"  # a detector of faces on other pictures
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [" | ".join(map(str, table.columns)), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(map(cell, row)) for row in table.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in lines)


def document() -> str:
    """The page, from the cards of all bundled detectors."""
    cards = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(BUNDLED.glob(f"*/{CARD}"))]
    sections = [section(card) for card in cards if card["kind"] == "detector"]
    return INTRODUCTION + "".join(sections)


INTRODUCTION = """# The bundled models

This page is written by `tools/release.py` from measured files; see CONTRIBUTING.md for the commands. `compact`, on
pixels, is the one that every command takes by default. `compact-latent` works on the latents of `compact-autoencoder`
(8× downsampling, 4 channels) as the paper does: for a generator's latents, and to start a training of your own from.

**For** auditing synthetic pictures of faces, chest X-rays, CT crops, skin lesions and photos against their
training set. **Not for** identifying people: it is trained on few identities, and a match is a reason to look, no
proof. On a domain it was not trained on, off-the-shelf networks can tell identities apart better than it does
([measured](detectors.md#kinds-that-compact-did-not-learn)); calibrate on your own identities (the default) and look at
the report.

All numbers below: test split, identities never seen in training, nothing tuned on it (what SFace, which `compact` asks
about faces, was trained on is not known here). Negatives are of the same dataset. "re-identification" compares
different pictures of one identity; "copy" compares a picture with an edited copy of itself (rotation, crop, flip, blur,
noise, brightness, contrast, JPEG, shrinking, grey, combined at random), for the sets without identities. Each card's
rows were measured together, with the pair lists of that release.
"""


def section(card: dict) -> str:
    """One model."""
    metrics, terms = pd.DataFrame(card["metrics"]), pd.DataFrame(card["training_data"])
    if "n_identities" not in metrics:
        metrics["n_identities"] = "–"
    encoder = card["encoder"]
    where = "pixels" if encoder["name"] == "pixels" else f"latents of `{encoder['name']}` (`{encoder['sha256']}`)"
    return f"""
## `{card["name"]}`

Weights sha256 `{card["sha256"]}`, on {where}, pictures of {card["size"]}×{card["size"]} pixels. Licence:
{card["licence"]}.

### AUC

{wide(metrics, "auc")}

### Specificity at 99 % sensitivity

{wide(metrics, "specificity_at_99_sensitivity")}

{calibration(card["name"], metrics)}### Training data and terms

{markdown(terms)}

{card.get("notes", "")}
"""


def calibration(name: str, metrics: pd.DataFrame) -> str:
    """How far the model's probabilities are from the truth on each dataset, where a release measured it."""
    if not (FIGURES / f"{name}-reliability.png").is_file():
        return ""
    mine = metrics[(metrics["detector"] == name) & (metrics["task"] == "re-identification")]
    titles = {"ece": "error", "ece_chance": "by chance up to"}
    names = {column: title for column, title in titles.items() if column in mine}
    return f"""### Expected calibration error

Mean distance between a pair's probability and the share of pairs of that probability that show one identity; beside it
what right probabilities would show with as few pairs, in 19 of 20 cases.

{markdown(mine.sort_values("dataset")[["dataset", *names]].rename(columns=names))}

![reliability](models/{name}-reliability.png)

"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("measured", type=Path)
    parser.add_argument("--name", default="compact")
    parser.add_argument("--training-data", type=Path, help="JSON list: dataset, pictures, identities, terms")
    parser.add_argument("--faces", type=Path, help="folder of a re-identification benchmark of detectors of faces")
    arguments = parser.parse_args()
    release(arguments.checkpoint, arguments.measured, arguments.name, arguments.training_data, arguments.faces)
