"""Claims: ``lcmem encode`` says what it did, goes on after Ctrl-C, and refuses bad input in one line."""

import shutil

import pandas as pd
import pytest

from commands import lcmem, lcmem_interrupted_at
from lcmem.encoders import load_encoder
from lcmem.latents import LatentStore, build_store


def words(text):
    return " ".join(text.split())


def test_encode_again_with_one_new_picture_and_a_bad_one(faces, tmp_path):
    shutil.copytree(faces / "s1", tmp_path / "faces" / "s1")
    shutil.copytree(faces / "s2", tmp_path / "faces" / "s2")
    command = ["encode", tmp_path / "faces", "--size", 64, "--mirror", "--out", tmp_path / "store"]
    first = lcmem(*command)
    assert first.returncode == 0, first.stderr
    assert "20 pictures: 20 encoded, 0 reused, 0 skipped" in first.stdout
    shutil.copy(faces / "s3" / "1.pgm", tmp_path / "faces" / "s2" / "new.pgm")
    (tmp_path / "faces" / "s2" / "bad.png").write_text("text")
    second = lcmem(*command)
    assert second.returncode == 0, second.stderr
    assert "21 pictures: 1 encoded, 20 reused, 1 skipped" in second.stdout
    assert "skipped.csv" in second.stdout and "bad.png" in second.stdout
    assert f"store: {tmp_path / 'store'} (" in second.stdout
    store = LatentStore.open(tmp_path / "store")
    statistics = store.statistics()
    assert store.views == 2 and store.manifest.table["identity"].nunique() == 2
    for value in (*statistics.mean, *statistics.std):
        assert f"{value:.3f}" in second.stdout


def test_statistics_of_each_dataset_are_shown(orl, tmp_path):
    part = orl.rows(range(12)).table.assign(dataset=["left", "right"] * 6)
    part.to_csv(tmp_path / "m.csv", index=False)
    done = lcmem("encode", tmp_path / "m.csv", "--size", 64, "--out", tmp_path / "store", "--no-identities")
    assert done.returncode == 0, done.stderr
    store = LatentStore.open(tmp_path / "store")
    for name, statistics in store.statistics_by_dataset().items():
        mean = " ".join(f"{value:.3f}" for value in statistics.mean)
        assert f"│ {name} │ 6 │ {mean} │" in words(done.stdout)
    assert not store.manifest.labelled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "nowhere"], "nowhere: no such file or folder"),
        (["encode", "{faces}", "--size", "100"], "size 100 is not a multiple of 8"),
        (["encode", "{faces}", "--encoder", "nowhere/at-all"], "to download it, say so: --download"),
    ],
)
def test_bad_input_ends_with_one_clear_line(faces, tmp_path, arguments, message):
    done = lcmem(*(argument.format(faces=faces) for argument in arguments), cwd=tmp_path)
    assert done.returncode == 1 and message in words(done.stderr) and "Traceback" not in done.stderr


def test_download_is_offered_where_an_encoder_is_named():
    for command in (["encode"], ["benchmark", "autoencoder"]):
        assert "--download" in lcmem(*command, "--help").stdout


def test_interrupted_and_started_again(orl, one_thread, tmp_path):
    """Ctrl-C after the first batch; the same command then encodes only what is missing."""
    orl.rows(range(120)).write(tmp_path / "m.csv")
    arguments = ["encode", tmp_path / "m.csv", "--mirror", "--out", tmp_path / "store"]
    journal = tmp_path / "store/shards/00000.keys"
    code, printed = lcmem_interrupted_at(journal, tmp_path / "log", *arguments)
    assert code == 130 and "goes on where it stopped" in printed and "Traceback" not in printed
    kept = journal.read_bytes().count(b"\n")
    done = lcmem(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"{120 - kept} encoded, {kept} reused" in done.stdout and 1 <= kept < 120
    assert len(pd.read_parquet(tmp_path / "store/index.parquet")) == 120


def test_latents_have_their_own_identities(tmp_path, people, counting):
    build_store(people.rows(range(30)), load_encoder(), 64, tmp_path / "latents")
    done = lcmem("train", "small", "--data", "latents", "--no-identities", cwd=tmp_path)
    assert done.returncode == 1
    assert "latents have their own identities; give these options to lcmem encode" in done.stderr
