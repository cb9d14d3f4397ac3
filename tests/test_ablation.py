"""Claims: table 4's columns by hand; recipes are trained and measured, those that cannot be are reported."""

import numpy as np
import pandas as pd
import pytest

from lcmem.errors import LCMemError
from lcmem.evaluation.ablation import _loaded, benchmark_ablation, classify
from lcmem.training.presets import load_recipe


def test_classification_by_hand():
    found = classify(np.array([2.0, 0.5, -1, 0, 3, -2]), np.array([True, True, True, True, False, False]))
    assert found == pytest.approx({"accuracy": 0.5, "f1": 4 / 7, "precision": 2 / 3, "recall": 0.5, "auc": 4 / 8})
    assert classify(np.array([-1.0, -2]), np.array([True, False]))["precision"] == 0, "nothing was called positive"


def test_mistakes_are_told_before_the_first_training(people, tmp_path):
    small = load_recipe("small")
    for name, recipe in (("good", small), ("sub/good", small), ("one", small.with_settings(["stage2=none"]))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        recipe.write(tmp_path / f"{name}.toml")
    (tmp_path / "bad.toml").write_text((tmp_path / "good.toml").read_text() + "\n[stage3]\n")
    good, other, bad, one = (str(tmp_path / f"{name}.toml") for name in ("good", "sub/good", "bad", "one"))
    for recipes, settings, message in (
        ([good, bad], [], "unknown key stage3"),
        ([good, other], [], "another recipe is called good, too"),
        ([good], ["stage2.lr=-1"], r"good\.toml: --set: stage2\.lr"),
    ):
        with pytest.raises(LCMemError, match=message):
            benchmark_ablation(people, recipes, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
    assert _loaded([good, one], ["stage2.epochs=7"])["one"].stage2 is None, "it has nothing to change"


def test_recipes_are_trained_and_measured(people, tmp_path):
    settings = ["size=32", "stage1.epochs=1", "stage1.steps_per_epoch=2", "stage1.batch_size=8", "precision=32-true"]
    settings += ["network.backbone=resnet10t", "network.pretrained=''"]
    pixels, latents = "ablation-01-resnet101-pixels", "ablation-02-resnet101"
    table = benchmark_ablation(people, [latents, pixels], tmp_path, settings=settings).set_index("recipe")
    assert table.loc[pixels, "status"] == "ok" and 0 <= table.loc[pixels, "accuracy"] <= 1
    assert table.loc[pixels, "auc_low"] <= table.loc[pixels, "auc"] <= table.loc[pixels, "auc_high"]
    assert table.loc[pixels, "n_positive"] == table.loc[pixels, "n_negative"] > 0
    assert "--download" in table.loc[latents, "status"] and pd.isna(table.loc[latents, "auc"])
    written = pd.read_csv(tmp_path / "ablation.csv").set_index("recipe")
    pd.testing.assert_frame_equal(written, table, check_dtype=False, atol=1e-5)
