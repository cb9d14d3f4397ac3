"""Claim: pictures inside arrays, tar shards and Parquet files become files, none is lost, and commands name the way."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands import lcmem
from lcmem.errors import LCMemError
from lcmem.jobs.unpack import unpack
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest


@pytest.fixture
def samples(rng):
    return rng.integers(0, 256, (5, 32, 24, 3)).astype(np.uint8)


def encoded(picture, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def levels(folder, table):
    return [load_levels(folder / name).transpose(1, 2, 0) for name in table["path"]]


@pytest.mark.parametrize("form", ["npz", "npy", "float", "planes"])
def test_arrays_of_samples(samples, tmp_path, form):
    made = {"float": samples.astype(np.float32) / 255, "planes": samples.transpose(0, 3, 1, 2)}.get(form, samples)
    path = tmp_path / ("samples.npy" if form == "npy" else "samples.npz")
    np.save(path, made) if form == "npy" else np.savez(path, arr_0=made, arr_1=np.arange(5))
    found = unpack([path], tmp_path / "out")
    assert np.array_equal(levels(tmp_path / "out", found.table), samples)
    assert form == "npy" or found.table["arr_1"].tolist() == [0, 1, 2, 3, 4]
    manifest = Manifest.read(tmp_path / "out" / "pictures.csv", identity_column="source")
    assert len(manifest) == 5 and Manifest.read(tmp_path / "out").known_identities == 0, "no folder that names a person"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ({"mu": np.zeros(8), "sigma": np.eye(8)}, r"one array \[N, H, W, 3\].* mu \(8,\), sigma \(8, 8\)"),
        ({"a": np.linspace(-1, 1, 2 * 16 * 16 * 3).reshape(2, 16, 16, 3)}, "pictures / 2"),
        ({"a": np.zeros((2, 16, 16, 5), np.uint8)}, "no usable pictures"),
    ],
)
def test_arrays_that_are_no_pictures(array, words, tmp_path):
    np.savez(tmp_path / "a.npz", **array)
    with pytest.raises(LCMemError, match=words):
        unpack([tmp_path / "a.npz"], tmp_path / "out")
    assert not (tmp_path / "out" / "pictures.csv").exists()


def test_arrays_are_read_row_by_row(samples, tmp_path):
    """Fifty thousand samples of 256 pixels are ten gigabytes; what is cut off is told, and nothing whole is left."""
    np.savez_compressed(tmp_path / "a.npz", samples)
    assert len(unpack([tmp_path / "a.npz"], tmp_path / "a").table) == 5
    np.save(tmp_path / "b.npy", samples)
    (tmp_path / "b.npy").write_bytes((tmp_path / "b.npy").read_bytes()[:-100])
    with pytest.raises(LCMemError, match=r"b\.npy: cannot be read \(it is cut off\)"):
        unpack([tmp_path / "b.npy"], tmp_path / "b")
    assert not (tmp_path / "b" / "pictures.csv").exists()
    np.save(tmp_path / "c.npy", np.asfortranarray(samples))
    with pytest.raises(LCMemError, match="ascontiguousarray"):
        unpack([tmp_path / "c.npy"], tmp_path / "c")


def test_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LCMemError, match=r"a\.npy: cannot be read"):
        unpack([tmp_path / "a.npy"], tmp_path / "out")


def test_a_tar_shard_keeps_bytes_and_what_is_said(samples, tmp_path):
    files = {
        "train/a.jpg": encoded(samples[0], "JPEG"), "train/a.json": json.dumps({"who": "ann", "box": [1]}).encode(),
        "train/b.cls": b"7", "train/b.png": encoded(samples[1]), "train/c.jpg": b"no picture",
        "../d.png": encoded(samples[2]),
        "readme.txt": b"hello", "train/._a.jpg": b"rubbish",
    }  # fmt: skip
    with tarfile.open(tmp_path / "shard-000.tar.gz", "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = unpack([tmp_path / "shard-000.tar.gz"], tmp_path / "out")
    assert found.table["name"].tolist() == ["train/a.jpg", "train/b.png", "../d.png"]
    assert found.table["who"].fillna("").tolist() == ["ann", "", ""] and found.table["label"].tolist()[1] == "7"
    kept = [(tmp_path / "out" / name).read_bytes() for name in found.table["path"]]
    assert kept == [files[name] for name in found.table["name"]], "and nothing outside of the folder"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "shard-000.tar.gz"]
    assert found.skipped["name"].tolist() == ["train/c.jpg"]


@pytest.mark.parametrize("nested", [True, False])
def test_parquet_files_of_a_data_set(samples, tmp_path, nested):
    data = [encoded(each, "JPEG") for each in samples]
    column = [{"bytes": each, "path": f"{at}.jpg"} for at, each in enumerate(data)] if nested else data
    for shard, rows in enumerate((slice(0, 3), slice(3, 5))):
        table = pd.DataFrame({"image": column[rows], "subject": [f"s{at}" for at in range(5)][rows]})
        table.to_parquet(tmp_path / f"train-{shard}.parquet")
    shards = [tmp_path / f"train-{shard}.parquet" for shard in (0, 1)]
    with pytest.raises(LCMemError, match=r"holds pictures itself; lcmem unpack \S+train-0\.parquet --out FOLDER"):
        Manifest.read(shards[0])
    done = lcmem("unpack", *shards, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0 and "5 pictures" in done.stdout and "columns subject" in done.stdout, done.stderr
    found = Manifest.read(tmp_path / "out" / "pictures.csv", identity_column="subject")
    assert found.known_identities == 5
    assert found.table["source"].tolist() == ["train-0.parquet"] * 3 + ["train-1.parquet"] * 2
    assert [Path(path).read_bytes() for path in found.paths] == data
    assert lcmem("unpack", *shards, "--out", "out", cwd=tmp_path).returncode == 0, "again"
    assert "of other pictures" in lcmem("unpack", shards[0], "--out", "out", cwd=tmp_path).stderr


def test_what_is_given_in_place_of_pictures_is_named(tmp_path):
    for name, words in (("a.npz", "lcmem unpack"), ("a.tar", "lcmem unpack"), ("a.txt", r"\(echo path; cat")):
        (tmp_path / name).write_bytes(b"something")
        with pytest.raises(LCMemError, match=words):
            Manifest.read(tmp_path / name)
    with pytest.raises(LCMemError, match=r"a\.tar: cannot be read"):
        unpack([tmp_path / "a.tar"], tmp_path / "out")
    with pytest.raises(LCMemError, match=r"b\.npz: no such file"):
        unpack([tmp_path / "b.npz"], tmp_path / "out")
    with pytest.raises(LCMemError, match="two files are called a"):
        unpack([tmp_path / "a.npz", tmp_path / "a.tar"], tmp_path / "out")
