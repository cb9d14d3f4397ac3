"""Put a trained detector into the package: checkpoint, card with its measurements, and docs/models.md.

    python tools/release.py RUN/stage2 MEASURED

MEASURED is the folder that ``lcmem benchmark reid``, ``lcmem benchmark copy --transforms stage-2`` and
``lcmem benchmark autoencoder`` wrote for this checkpoint, all on the test split. Nothing is measured here.
"""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

from lcmem.checkpoints import BUNDLED, CARD

ROOT = Path(__file__).parent.parent
LICENCE = (
    "Apache-2.0 for the weights as such; several of the training sets are for non-commercial research only, see "
    "training_data"
)


def release(checkpoint: Path, measured: Path, name: str) -> None:
    reid = card_metrics(measured)
    psnr = pd.read_csv(measured / "autoencoder.csv")
    reid["detector"] = reid["detector"].replace(str(checkpoint), name)
    if name not in set(reid["detector"]):
        raise SystemExit(f"{measured}: no rows of {checkpoint}")
    target = BUNDLED / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(checkpoint, target)
    card = json.loads((target / CARD).read_text(encoding="utf-8"))
    source = {"source": "compact-autoencoder", "name": "compact-autoencoder"}
    card |= {"name": name, "licence": LICENCE, "encoder": card["encoder"] | source}
    card["metrics"] = json.loads(reid.to_json(orient="records"))
    (target / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (ROOT / "docs" / "models.md").write_text(document(card, reid, psnr), encoding="utf-8")


def card_metrics(measured: Path) -> pd.DataFrame:
    """Each dataset by what it allows: re-identification where it has identities, else edited copies."""
    reid = pd.read_csv(measured / "reid.csv").assign(task="re-identification")
    copies = pd.read_csv(measured / "copy_map.csv").query("transform == 'stage-2'").assign(task="copy")
    sizes = pd.read_csv(measured / "copy.csv").query("transform == 'stage-2'")
    keys, counts = ["dataset", "detector"], ["n_identities", "n_positive", "n_negative"]
    copies = copies.merge(sizes.drop_duplicates(keys)[keys + counts], on=keys)
    copies = copies[~copies["dataset"].isin([*reid["dataset"], "macro"])]
    both = pd.concat([reid[~reid["dataset"].isin(["macro", "micro"])], copies], ignore_index=True)
    return both[["dataset", "task", "detector", *counts, "auc", "specificity_at_99_sensitivity"]]


def wide(reid: pd.DataFrame, column: str) -> str:
    order = list(dict.fromkeys(reid["detector"]))
    table = reid.pivot(index=["task", "dataset", "n_identities", "n_positive"], columns="detector", values=column)[
        order
    ]
    table = table.sort_index(level="task", ascending=False, sort_remaining=True).reset_index()
    return markdown(table.rename(columns={"n_identities": "identities", "n_positive": "positive pairs"}))


def markdown(table: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [" | ".join(map(str, table.columns)), " | ".join("---" for _ in table.columns)]
    lines += [" | ".join(map(cell, row)) for row in table.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in lines)


def document(card: dict, reid: pd.DataFrame, psnr: pd.DataFrame) -> str:
    terms = pd.DataFrame(card["training_data"])
    stages = pd.DataFrame(
        [
            {"stage": record["stage"], "best epoch": record["best_epoch"], "validation score": record["val_score"]}
            for record in card["training"]
        ]
    )
    return f"""# The bundled models

This page is written by `tools/release.py` from measured files; see CONTRIBUTING.md for the commands.

## `{card["name"]}`

Weights sha256 `{card["sha256"]}`, on latents of `{card["encoder"]["name"]}`
(`{card["encoder"]["sha256"]}`). Licence: {card["licence"]}.

**For** auditing synthetic pictures of faces, chest X-rays, CT crops, skin lesions and photos against their
training set. **Not for** identifying people: it is trained on few identities, and a match is a reason to look, no
proof. On a domain it was not trained on, expect less; calibrate on your own identities (the default) and look at the
report.

All numbers below: test split, identities never seen in training, nothing tuned on it. Negatives are of the same
dataset. "re-identification" compares different pictures of one identity; "copy" compares a picture with an edited copy
of itself (rotation, crop, flip, blur, noise, brightness, contrast, JPEG, shrinking, grey, combined at random), for the
sets without identities; there every copy is compared with every other picture too. Every detector got the same pairs at
256×256 pixels.

### AUC

{wide(reid, "auc")}

### Specificity at 99 % sensitivity

{wide(reid, "specificity_at_99_sensitivity")}

### Training data and terms

{markdown(terms)}

{markdown(stages)}

{card.get("notes", "")}
The validation score is the AUC on the validation split, averaged over datasets (stage 2: mean of re-identification and
copies).

## `compact-autoencoder`

8× downsampling, 4 latent channels, trained on the same pictures. Round trip at 256×256 pixels on the test split, in
dB, and time to encode one picture on the machine that measured it:

{markdown(psnr)}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("measured", type=Path)
    parser.add_argument("--name", default="compact")
    arguments = parser.parse_args()
    release(arguments.checkpoint, arguments.measured, arguments.name)
