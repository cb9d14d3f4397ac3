"""Claims: a file is replaced whole or not at all; content hashes see what changed and read nothing twice."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from lcmem.files import replacing
from lcmem.pictures.content import content_table, linked_to
from lcmem.pictures.paths import file_stamp


def test_replaced_whole(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with replacing(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old", "until the block ends"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"] and target.read_text() == "new"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(error), replacing(target) as partial:
        partial.write_text("half")
        raise error
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"] and target.read_text() == "old"


def test_hash_is_of_the_bytes(tmp_path, save_noise):
    paths = [str(save_noise(f"{k}.png")) for k in range(5)]
    found = content_table(paths, {})
    assert list(found["sha256"]) == [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    assert list(found["path"]) == paths and not found["reason"].any()


def test_member_of_a_zip_has_the_hash_of_the_same_file(tmp_path, save_noise):
    path = save_noise("a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(path, "inner/a.png")
    member = f"{tmp_path}/set.zip/inner/a.png"
    found = content_table([str(path), member], {})
    assert found["sha256"][0] == found["sha256"][1] and found["stamp"][0] != found["stamp"][1]


def test_unreadable_files_have_a_reason(tmp_path, save_noise):
    (tmp_path / "damaged.zip").write_bytes(b"PK no zip")
    paths = [str(tmp_path / "gone.png"), f"{tmp_path}/damaged.zip/a.png", str(save_noise("fine.png"))]
    found = content_table(paths, {})
    assert list(found["sha256"] == "") == [True, True, False]
    assert "no such file" in found["reason"][0] and "damaged.zip" in found["reason"][1]


def test_known_stamp_is_not_read_again(save_noise, monkeypatch):
    path = str(save_noise("a.png"))
    known = {(path, file_stamp(path)): "known"}
    monkeypatch.setattr("lcmem.pictures.content.read_bytes", lambda path: pytest.fail("was read"))
    assert content_table([path], known)["sha256"][0] == "known"


def test_touched_file_is_read_again(save_noise):
    path = str(save_noise("a.png"))
    known = {(path, file_stamp(path)): "known"}
    os.utime(path, ns=(1, 1))
    assert len(content_table([path], known)["sha256"][0]) == 64


def test_slices_of_a_volume_differ_and_the_volume_is_read_once(save_noise, monkeypatch):
    volume = str(save_noise("scan.png"))
    read = []
    monkeypatch.setattr("lcmem.pictures.content.read_bytes", lambda path: read.append(path) or b"content")
    found = content_table([f"{volume}#slice=3", f"{volume}#slice=57", volume], {})
    assert read == [volume]
    assert found["sha256"].nunique() == 3 and found["sha256"][1].endswith("#slice=57")
    assert set(found["stamp"]) == {file_stamp(volume)}, "the stamp is the file's"


def test_links_to_one_file_are_known(tmp_path, save_noise):
    path = save_noise("set/a.png")
    shutil.copy(path, tmp_path / "copy.png")
    (tmp_path / "soft.png").symlink_to(path)
    os.link(path, tmp_path / "hard.png")
    (tmp_path / "folder").symlink_to(tmp_path / "set")
    names = ["set/a.png", "copy.png", "soft.png", "hard.png", "folder/a.png", "gone.png"]
    paths = [f"{tmp_path}/{name}" for name in names]
    assert linked_to(paths) == ["", "", paths[0], paths[0], paths[0], ""]
    assert linked_to([f"{path}#slice=0", f"{path}#slice=1"]) == ["", ""]
