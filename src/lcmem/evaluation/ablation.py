"""The ablation study (paper, section 4.5 and table 4): train each recipe, then classify the pairs of one split."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from lcmem.detectors.each import OK, reason
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.evaluation.pictures import BenchmarkPictures
from lcmem.evaluation.tables import write_csv
from lcmem.pairs import identity_pairs
from lcmem.pictures.manifest import Manifest
from lcmem.stats.bootstrap import Resampling, interval_columns
from lcmem.stats.roc import Roc
from lcmem.training.fit import RunOptions
from lcmem.training.presets import load_recipe
from lcmem.training.recipe import Recipe
from lcmem.training.run import train

COLUMNS = ["accuracy", "f1", "precision", "recall", "auc"]
REPLICATES = 200
"""Bootstrap replicates of the 95 % intervals."""


def benchmark_ablation(
    manifest: Manifest,
    recipes: Sequence[str],
    out: str | os.PathLike[str],
    *,
    settings: Sequence[str] = (),
    split: str = "test",
    options: RunOptions | None = None,
) -> pd.DataFrame:
    """Train each recipe and classify pairs at p = 0.5, all datasets pooled (micro average).

    Args:
        manifest: Pictures with the splits train and val, and the one to measure on.
        recipes: Presets or TOML files.
        out: Folder for ``ablation.csv`` and a run of each recipe; the same call goes on where it stopped.
        settings: ``key=value`` changes of every recipe, for instance to make them fit a smaller machine.
        split: What to measure on; the trainings never see it.
        options: How to train.

    Returns:
        ``recipe, backbone, encoder, size, bce_weight, augmentation, samplewise, stages, negatives, split, n_identities,
        n_positive, n_negative``; ``accuracy, f1, precision, recall, auc``, each with ``_low`` and ``_high``;
        ``status``, of a recipe that cannot be trained here the reason.
    """
    folder, options = Path(out), options or RunOptions()
    tested = manifest.select(split=split)
    rows = []
    for name, recipe in _loaded(recipes, settings).items():
        row = _described(name, recipe) | {"split": split, "status": OK}
        try:
            checkpoint = train(recipe, manifest, folder / name, options)
            row |= _measured(checkpoint, tested, folder / "cache", recipe, options)
        except Exception as error:  # one that cannot be trained or measured must not take the others with it
            row["status"] = reason(error)
        rows.append(row)
        write_csv(pd.DataFrame(rows), folder / "ablation.csv")  # after each: the next training may take a day
    return pd.DataFrame(rows)


def _loaded(recipes: Sequence[str], settings: Sequence[str]) -> dict[str, Recipe]:
    """All recipes by their names, before any is trained; those of one stage have nothing of the second to change.

    Raises:
        LCMemError: One is no detector's, has a mistake, or is called like another one.
    """
    found: dict[str, Recipe] = {}
    second = [each for each in settings if each.startswith("stage2.")]
    for source in recipes:
        recipe, name = load_recipe(source), Path(source).stem
        if not isinstance(recipe, Recipe):
            raise LCMemError(f"{source}: an autoencoder's recipe has nothing to classify")
        if name in found:
            raise LCMemError(f"{source}: another recipe is called {name}, too; rename one, their runs lie side by side")
        changes = [each for each in settings if recipe.stage2 is not None or each not in second]
        try:
            found[name] = recipe.with_settings(changes)
        except LCMemError as error:
            raise LCMemError(f"{source}: {error}") from error
    if second and all(recipe.stage2 is None for recipe in found.values()):
        raise LCMemError(f"--set {second[0]}: none of these recipes has a second stage")
    return found


def _described(name: str, recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": name,
        "backbone": recipe.network.backbone,
        "encoder": recipe.encoder,
        "size": recipe.size,
        "bce_weight": recipe.stage1.bce_weight,
        "augmentation": ", ".join(key for key, value in asdict(recipe.stage1.latent).items() if value) or "none",
        "samplewise": recipe.stage1.samplewise,
        "stages": len(recipe.stages),
        "negatives": recipe.validation_negatives,
    }


def _measured(checkpoint: Path, tested: Manifest, cache: Path, recipe: Recipe, options: RunOptions) -> dict[str, Any]:
    detector = LCMem.load(checkpoint, device=options.device, allow_download=options.allow_download)
    detector.name = checkpoint.parent.name
    pictures = BenchmarkPictures.read(tested, cache, detector.size)
    features = pictures.features(detector, cache, np.arange(len(pictures)))
    pairs = identity_pairs(pictures.manifest, protocol=recipe.pair_protocol)
    if not len(pairs):
        raise LCMemError("no identity has two pictures: nothing to classify")
    logits = detector.similarity(features[pairs.first], features[pairs.second]).numpy()
    people = np.array(pictures.manifest.identities, dtype=object)
    ends = people[pairs.first], people[pairs.second]
    drawn = Resampling.draw(*ends, pairs.same, replicates=REPLICATES, seed=0)
    sizes = {"n_identities": len(set(np.concatenate(ends))), "n_positive": int(pairs.same.sum())}
    return sizes | {"n_negative": int((~pairs.same).sum())} | with_intervals(logits, drawn)


def with_intervals(logits: np.ndarray, drawn: Resampling) -> dict[str, float]:
    """:func:`classify`, each number with ``_low`` and ``_high``: 95 % intervals over identities."""
    found = classify(logits, drawn.same)
    replicates = [classify(logits, drawn.same, weights) for weights in drawn.weights(drawn.counts)]
    drawn_again = np.array([[each[name] for each in replicates] for name in COLUMNS])
    return interval_columns(COLUMNS, [found[name] for name in COLUMNS], drawn_again)


def classify(logits: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """The columns of table 4, 0 where nothing is decided.

    Args:
        logits: Decided at p > 0.5, ``[P]``.
        same: ``[P]`` booleans.
        weights: How often each pair counts, ``[P]``; None for once.
    """
    decided = logits > 0
    scores = {
        "accuracy": accuracy_score(same, decided, sample_weight=weights),
        "f1": f1_score(same, decided, zero_division=0, sample_weight=weights),
        "precision": precision_score(same, decided, zero_division=0, sample_weight=weights),
        "recall": recall_score(same, decided, zero_division=0, sample_weight=weights),
        "auc": Roc.of(logits, same, weights).auc(),
    }
    return {name: float(scores[name]) for name in COLUMNS}
