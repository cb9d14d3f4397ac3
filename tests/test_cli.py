"""Claims: commands behave as their user expects: help at once, check before the long job, resume after Ctrl-C."""

import shutil
import subprocess
import sys
import tomllib

import pandas as pd
import pytest

from commands import lcmem, lcmem_interrupted_at

pytestmark = pytest.mark.usefixtures("encoded_once")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['lcmem', '--help']\n"
        "from lcmem.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "names = {'torch', 'pandas', 'timm', 'lightning', 'pydantic', 'matplotlib', 'sklearn', 'diffusers'}\n"
        "heavy = names & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version():
    from importlib.metadata import version

    assert lcmem("--version").stdout.strip() == version("lcmem")


def test_check_counts_and_finds_what_is_wrong(faces, tmp_path):
    fine = lcmem("check", faces)
    assert fine.returncode == 0, fine.stderr
    assert "401" in fine.stdout and "92×112" in fine.stdout
    (tmp_path / "bad.png").write_text("text")
    wrong = lcmem("check", tmp_path)
    assert wrong.returncode == 1 and "bad.png" in wrong.stdout


def test_check_finds_identities_in_two_splits(save_noise, tmp_path):
    save_noise("set/train/ann/1.png"), save_noise("set/test/ann/2.png"), save_noise("set/test/bob/2.png")
    wrong = lcmem("check", tmp_path / "set")
    assert wrong.returncode == 1 and "'ann'" in wrong.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "nowhere", "nowhere", "--model", "phsh"], "did you mean phash?"),
        (["audit", "nowhere", "elsewhere"], "nowhere: no such file or folder"),
        (["index", ".", "--out", "../out"], "no pictures found"),
        (["compare", "a.png", "b.png", "--model", "nowhere"], "nowhere: neither a detector"),
        (["train", "small", "--data", "nowhere.csv"], "no such file"),
        (["manifest", ".", "--layout", "other"], "unknown layout"),
    ],
)
def test_bad_input_ends_with_one_clear_line(tmp_path, arguments, message):
    done = lcmem(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and message in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_manifest_command(faces, tmp_path):
    done = lcmem("manifest", faces, "--out", tmp_path / "m.csv")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "m.csv")) == 401


def test_datasets_command_names_them_all():
    from lcmem.datasets import DATASETS

    listed = lcmem("datasets")
    assert listed.returncode == 0, listed.stderr
    for name, info in DATASETS.items():
        assert f"{name}: {info.url}" in listed.stdout


def test_manifest_of_a_known_layout_says_what_is_absent(save_noise, tmp_path):
    save_noise("set/img_align_celeba/000001.jpg")
    (tmp_path / "set" / "identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg 8\n")
    (tmp_path / "set" / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 1\n")
    done = lcmem("manifest", tmp_path / "set", "--layout", "celeba", "--out", tmp_path / "m.csv")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 listed pictures are not there" in done.stderr and "warn" not in done.stderr.lower()
    assert pd.read_csv(tmp_path / "m.csv")["identity"].tolist() == ["celeba_7"]


def test_audit_interrupted_and_started_again(faces, weights, one_thread, tmp_path):
    """Ctrl-C after the first batch; the same command then encodes only what is missing."""
    for number in range(1, 13):
        shutil.copytree(faces / f"s{number}", tmp_path / "real" / f"s{number}")
    command = ["audit", tmp_path / "real", faces / "s1", "--model", weights, "--out", tmp_path / "out"]
    journal = tmp_path / "out" / "features" / "shards" / "00000.keys"  # a row counts from when it is listed there
    code, printed = lcmem_interrupted_at(journal, tmp_path / "log", *command)
    assert code == 130 and "goes on where it stopped" in printed
    done = lcmem(*command)
    assert done.returncode == 0, done.stderr
    summary = pd.read_json(tmp_path / "out" / "summary.json", typ="series")
    assert summary["pictures_reused"] >= 1 and summary["pictures_encoded"] <= 130 - 1
    assert summary["memorization_rate"] == 1, "all ten pictures of s1 are in the real set"


def test_recipes():
    listed = lcmem("recipes")
    assert listed.returncode == 0 and "finetune" in listed.stdout and "ablation-06-noise" in listed.stdout
    printed = lcmem("recipes", "paper")
    assert tomllib.loads(printed.stdout)["stage1"]["batch_size"] == 512
    unknown = lcmem("recipes", "paperr")
    assert unknown.returncode == 1 and "neither a recipe file nor a preset" in unknown.stderr


def test_train_names_what_is_wrong(tmp_path, save_noise):
    for k in range(3):
        save_noise(f"pictures/p{k}/1.png")
    wrong = lcmem("train", "small", "--data", tmp_path / "pictures", "--set", "stage1.lrate=1")
    assert wrong.returncode == 1 and "unknown key stage1.lrate" in wrong.stderr and "Traceback" not in wrong.stderr
    few = lcmem("train", "small", "--data", tmp_path / "pictures", "--out", tmp_path / "run")
    assert few.returncode == 1 and "Traceback" not in few.stderr and "3 identities are too few" in few.stderr
