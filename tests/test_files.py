"""Claims: a file is whole or not there, and a table is what it was; what cannot be read is named."""

import errno

import pandas as pd
import pytest

from lcmem.cli import _said
from lcmem.errors import LCMemError
from lcmem.files import read_json, read_table, replacing, write_json, write_table, write_text


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.PARQUET"])
def test_a_table_comes_back(tmp_path, name):
    table = pd.DataFrame({"path": ["a,b.png", "ü"], "identity": ["1", "007"]})
    write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(tmp_path / name, {"path"}), table, check_dtype=False)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_names_with_a_carriage_return_are_one_cell(tmp_path):
    table = pd.DataFrame({"path": ["a\rb.png", "c\nd.png", 'e".png'], "score": ["1.5", "2", ""]})
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), table)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(LCMemError, match=r"gone\.csv: no such file"):
        read_table(tmp_path / "gone.csv")
    write_text("a,b", tmp_path / "t.csv")
    with pytest.raises(LCMemError, match=r"t\.csv: no column 'path' \(found: a, b\); give the one that is meant"):
        read_table(tmp_path / "t.csv", {"path"})
    for name in ("bad.parquet", "bad.json"):
        (tmp_path / name).write_bytes(b"\xff no")
    with pytest.raises(LCMemError, match=r"bad\.parquet: not a readable table"):
        read_table(tmp_path / "bad.parquet")
    with pytest.raises(LCMemError, match=r"bad\.json: not a readable JSON file"):
        read_json(tmp_path / "bad.json")


def test_json_comes_back(tmp_path):
    write_json({"name": "é", "n": [1, 2.5]}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"name": "é", "n": [1, 2.5]}
    assert (tmp_path / "a.json").read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        write_json({"n": float("nan")}, tmp_path / "a.json")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_text("old", tmp_path / "a.txt")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old\n")]


def test_a_full_disk_names_the_file_and_the_way_out(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "t.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "t.csv")
    assert _said(caught.value) == f"{tmp_path / 't.csv'}: no space left; make some, and the same command goes on"
    moved = OSError(errno.ENOSPC, "No space left on device", "/tmp/spare", None, "run/best.ckpt")
    assert _said(moved).startswith("run/best.ckpt: no space left"), "where it was moved to"
