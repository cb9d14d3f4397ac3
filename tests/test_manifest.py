"""Claim: folders, zip files and tables say the same about the same pictures."""

import os
import re
import shutil
import sys

import pandas as pd
import pytest

from commands import lcmem
from lcmem.datasets import read_dataset
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.manifest import Manifest


@pytest.fixture
def folder(tmp_path, save_noise):
    for name in ("train/ann/1.png", "train/ann/2.png", "val/bob/1.PNG"):
        save_noise(f"set/{name}")
    (tmp_path / "set" / "notes.txt").write_text("not a picture")
    return tmp_path / "set"


def test_folder(folder):
    table = Manifest.read(folder).table
    assert table["identity"].tolist() == ["ann", "ann", "bob"]
    assert table["split"].tolist() == ["train", "train", "val"]
    assert set(table["dataset"]) == {"set"}


def test_zip_and_table_say_the_same_as_the_folder(folder, tmp_path):
    expected = Manifest.read(folder).table.drop(columns="path")
    shutil.make_archive(str(tmp_path / "set"), "zip", folder)
    pd.testing.assert_frame_equal(Manifest.read(tmp_path / "set.zip").table.drop(columns="path"), expected)
    for name in ("m.csv", "m.parquet"):
        Manifest.read(folder).write(tmp_path / name)
        pd.testing.assert_frame_equal(Manifest.read(tmp_path / name).table, Manifest.read(folder).table)


def test_relative_paths_in_a_table_are_relative_to_it(folder, tmp_path):
    pd.DataFrame({"path": ["set/train/ann/1.png"], "person": ["a"]}).to_csv(tmp_path / "m.csv", index=False)
    manifest = Manifest.read(tmp_path / "m.csv", identity_column="person")
    assert manifest.paths == [str(folder / "train/ann/1.png")]
    assert manifest.identities == ["a"]


def test_flat_folder_has_no_identities(save_noise, tmp_path):
    save_noise("flat/1.png"), save_noise("flat/2.png")
    manifest = Manifest.read(tmp_path / "flat")
    assert not manifest.labelled
    assert len(set(manifest.identities)) == 2, "each picture stands for itself"


def test_a_single_sub_folder_is_no_identity(save_noise, tmp_path):
    save_noise("outer/images/1.png"), save_noise("outer/images/2.png")
    assert not Manifest.read(tmp_path / "outer").labelled


def test_identity_pattern(folder):
    manifest = Manifest.read(folder, identity_pattern=r"/(\w)\w+/\d+\.")
    assert manifest.identities == ["a", "a", "b"]
    above = re.escape(folder.parts[-2])
    with pytest.raises(LCMemError, match="fits none"):
        Manifest.read(folder, identity_pattern=above)  # only what lies below the folder counts
    with pytest.raises(LCMemError, match="fits none"):
        Manifest.read(folder, identity_pattern="patient_(x+)")
    with pytest.raises(LCMemError, match="not a regular expression"):
        Manifest.read(folder, identity_pattern="(")


def test_identity_pattern_with_a_roundabout_path(folder):
    roundabout = folder / ".." / folder.name
    assert Manifest.read(roundabout, identity_pattern=r"^/(?:train|val)/(\w)").identities == ["a", "a", "b"]


def test_blanks_name_nobody(folder, tmp_path):
    rows = "".join(f"{path},{name}\n" for path, name in zip(Manifest.read(folder).paths, (" ", " x", ""), strict=True))
    (tmp_path / "table.csv").write_text("path,identity\n" + rows)
    assert list(Manifest.read(tmp_path / "table.csv").table["identity"]) == ["", "x", ""]


def test_no_identities(folder):
    assert not Manifest.read(folder, identities=False).labelled


def test_identity_in_two_splits(folder, save_noise):
    save_noise("set/val/ann/9.png")
    with pytest.raises(LCMemError, match="'ann'"):
        Manifest.read(folder).check_disjoint()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, "no such file"),
        ("wrong.csv", "file,identity\na.png,x\n", "no column 'path'"),
        ("empty.csv", "", "not a readable table"),
        ("none.csv", "path,identity\n", "no pictures found"),
        ("broken.parquet", "not parquet", "not a readable table"),
        ("notes.txt", "hello", "expected a folder"),
        ("broken.zip", "not a zip", "not a zip file"),
        ("absent.csv", "path\na.png\nb.png\n", r"none of the 2 listed pictures is there.*a\.png.*--root"),
        ("other.csv", "path\nC:\\data\\a.png\n", "a path of another system"),
        ("old.csv", "path,identity\na.png,M\xfcller\n", r"not UTF-8.*save it as CSV UTF-8"),
    ],
)
def test_bad_sources_are_named_with_the_reason(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(LCMemError, match=message):
        Manifest.read(tmp_path / name)


def test_missing_identity_column(tmp_path):
    (tmp_path / "m.csv").write_text("path\na.png\n")
    with pytest.raises(LCMemError, match="no column 'patient'"):
        Manifest.read(tmp_path / "m.csv", identity_column="patient")


def test_empty_folder(tmp_path):
    with pytest.raises(LCMemError, match="no pictures found"):
        Manifest.read(tmp_path)


def test_open_pack_layout(tmp_path):
    with pytest.raises(LCMemError, match=r"manifest\.csv"):
        read_dataset("open-pack", tmp_path)
    (tmp_path / "manifest.csv").write_text("dataset,path,identity,split\nd,train/a/1.jpg,a,train\n")
    with pytest.raises(LCMemError, match=r"d\.zip"):
        read_dataset("open-pack", tmp_path)
    (tmp_path / "d.zip").write_bytes(b"")
    for found in (
        read_dataset("open-pack", tmp_path),
        Manifest.read(tmp_path),
        Manifest.read(tmp_path / "manifest.csv"),
    ):
        assert found.paths == [f"{tmp_path}/d.zip/train/a/1.jpg"]
    with pytest.raises(LCMemError, match="unknown layout"):
        read_dataset("other", tmp_path)


def test_splits_depend_on_what_is_seen_and_not_on_where_it_lies(tmp_path, save_noise):
    for number in range(40):
        save_noise(f"here/{number:02}.png", (16, 16))
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deep" / "down")
    here, there = (Manifest.read(tmp_path / name).with_splits() for name in ("here", "there/deep/down"))
    assert list(here.table["split"]) == list(there.table["split"]) and set(here.table["split"]) > {"train"}
    os.rename(tmp_path / "here" / "00.png", tmp_path / "here" / "zz.png")
    shutil.copy(tmp_path / "here" / "07.png", tmp_path / "here" / "copy.png")
    found = Manifest.read(tmp_path / "here").with_splits()
    again = dict(zip(found.paths, found.table["split"], strict=True))
    before = dict(zip(here.paths, here.table["split"], strict=True))
    assert again[f"{tmp_path}/here/zz.png"] == before[f"{tmp_path}/here/00.png"]
    assert again[f"{tmp_path}/here/copy.png"] == again[f"{tmp_path}/here/07.png"], "copies stay together"


def test_the_root_of_a_set_is_worked_out_once(monkeypatch):
    """Of a million pictures of which thousands have gone it took hours to say so."""
    calls, original = [], os.path.commonpath
    monkeypatch.setattr(os.path, "commonpath", lambda folders: calls.append(1) or original(folders))
    manifest = Manifest.of([f"/data/faces/{number}.png" for number in range(3)])
    assert [manifest.below(f"{path}: gone") for path in manifest.paths] == ["0.png: gone", "1.png: gone", "2.png: gone"]
    assert len(calls) == 1


def test_rows_without_a_picture_are_counted(save_noise, tmp_path):
    save_noise("a.png")
    (tmp_path / "m.csv").write_text("path,identity\na.png,ann\n,bob\n ,eve\n")
    with pytest.warns(LCMemWarning, match=r"m\.csv: 2 rows name no picture and are left out"):
        assert Manifest.read(tmp_path / "m.csv").identities == ["ann"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as Unicode")
def test_file_names_that_no_table_can_hold_are_left_out_and_said(folder):
    odd = os.fsencode(folder / "train" / "ann") + b"/lat\xfcin.png"
    shutil.copy(folder / "train/ann/1.png", odd)
    with pytest.warns(LCMemWarning, match=r"names of 1 files are not UTF-8, and these are left out.*lat\\xfcin\.png"):
        assert len(Manifest.read(folder)) == 3


def test_a_link_to_a_folder_above_brings_nothing_in(folder, save_noise):
    save_noise("synthetic/1.png")
    (folder / "train" / "ann" / "loop").symlink_to(folder.parent)
    assert len(Manifest.read(folder)) == 3


def test_what_is_written_down_is_said(save_noise, tmp_path):
    names = [save_noise(f"{number}.png").name for number in range(24)]
    table = pd.DataFrame({"path": names, "patient": [f"p{number // 2}" for number in range(24)]})
    table.to_csv(tmp_path / "bare.csv", index=False)
    torn = lcmem("manifest", "bare.csv", "--split", "--out", "torn.csv", cwd=tmp_path)
    assert "--identity-column patient would give 12 identities for 24 pictures" in torn.stderr
    assert "those of one person may have come into several splits" in torn.stderr
    whole = lcmem("manifest", "bare.csv", "--identity-column", "patient", "--split", "--out", "whole.csv", cwd=tmp_path)
    assert not whole.stderr and "train 16 pictures of 8 identities, val 4 pictures of 2" in whole.stdout
    again = lcmem("manifest", "whole.csv", "--split", "--out", "again.csv", cwd=tmp_path)
    assert again.returncode == 1 and "has splits already (train 16 pictures" in again.stderr
    assert not (tmp_path / "again.csv").exists()
    with pytest.raises(LCMemError, match=r"found: ''\); lcmem manifest --split divides them"):
        Manifest.read(tmp_path / "bare.csv").select(split="train")
