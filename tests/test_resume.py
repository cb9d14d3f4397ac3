"""Claim: killed in the middle of an epoch, the same command ends with what an uninterrupted run ends with."""

import json

import pytest
import torch

from commands import lcmem, lcmem_killed_at
from lcmem.training.callbacks import read_metrics

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 8
SETTINGS = ["size=128", f"stage1.steps_per_epoch={STEPS}", "stage1.epochs=2", "stage1.batch_size=16", "stage1.chunk=16"]
SETTINGS += ["stage2.steps_per_epoch=5", "stage2.epochs=1", "stage2.batch_size=8", "stage2.chunk=8"]


@pytest.fixture(scope="module")
def manifest(orl, tmp_path_factory):
    number = orl.table["identity"].str[1:].astype(int)
    path = tmp_path_factory.mktemp("manifest") / "faces.csv"
    few = (number <= 16) & (orl.table.index % 10 < 5)
    orl.table.assign(split=["train" if k <= 12 else "val" for k in number])[few].to_csv(path, index=False)
    return path


def arguments(manifest, out):
    words = ["train", "small", "--data", str(manifest), "--out", str(out), "--checkpoint-every", "3"]
    for setting in SETTINGS:
        words += ["--set", setting]
    return words


@pytest.fixture(scope="module")
def uninterrupted(manifest, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert lcmem(*arguments(manifest, folder)).returncode == 0
    return folder


def card(folder, stage):
    return json.loads((folder / f"stage{stage}" / "card.json").read_text())


def kill_within(stage, manifest, folder):
    """Start the command and kill it once the stage has written a state in the middle of an epoch."""
    latest = folder / "resume" / f"stage{stage}" / "latest.ckpt"
    lcmem_killed_at(latest, *arguments(manifest, folder))
    step = torch.load(latest, weights_only=True)["global_step"]
    assert step % (STEPS if stage == 1 else 5), "in the middle of an epoch"
    assert not (folder / f"stage{stage}").exists()


def test_killed_in_the_middle_of_an_epoch_of_either_stage(manifest, uninterrupted, tmp_path):
    kill_within(1, manifest, tmp_path / "begun")
    moved = (tmp_path / "begun").rename(tmp_path / "moved")
    kill_within(2, manifest, moved)
    assert lcmem(*arguments(manifest, moved)).returncode == 0
    for number in (1, 2):
        mine, reference = card(moved, number), card(uninterrupted, number)
        assert mine["sha256"] == reference["sha256"], "the same weights, to the last bit"
        assert mine["training"] == reference["training"], "the same epochs and scores"
        logs = [read_metrics(folder / "logs" / f"stage{number}") for folder in (moved, uninterrupted)]
        scores = [log[["step", "val_score"]].dropna().to_dict("list") for log in logs]
        assert scores[0] == scores[1], "the log tells the whole story once"
