"""Claim: tables of pictures are understood as people have them, cell by cell, or refused with the way out."""

import os
import unicodedata
import warnings

import pandas as pd
import pytest

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest


@pytest.fixture
def pictures(save_noise):
    return [save_noise(f"set/{name}.png").name for name in "abc"]


@pytest.mark.parametrize(
    ("name", "head", "separator"),
    [
        ("m.CSV", "path,identity", ","),
        ("m.tsv", "path\tidentity", "\t"),
        ("m.csv", "path;identity", ";"),
        ("m.csv", " path , identity ", ", "),
        ("m.csv", "\ufeffpath,identity", ","),
        ("m.csv", "\ufeffsep=;\npath;identity", ";"),
    ],
)
def test_separators_suffixes_and_blanks(tmp_path, pictures, name, head, separator):
    rows = [f"set/{picture}{separator}00{k}" for k, picture in enumerate(pictures)]
    (tmp_path / name).write_text("\n".join([head, *rows]))
    manifest = Manifest.read(tmp_path / name)
    assert manifest.paths == [str(tmp_path / "set" / picture) for picture in pictures]
    assert manifest.identities == ["000", "001", "002"], "numbers keep their zeros"


def test_names_that_look_like_nothing_are_names(tmp_path, pictures):
    names = ["NA", "None", "null"]
    (tmp_path / "m.csv").write_text(
        "path,identity\n" + "".join(f"set/{p},{n}\n" for p, n in zip(pictures, names, strict=True))
    )
    assert Manifest.read(tmp_path / "m.csv").identities == names


@pytest.mark.parametrize(
    ("column", "names"),
    [
        (pd.Series([1, 2, None], dtype="Int64"), ["1", "2", ""]),
        (pd.Series([1.0, 2.0, None]), ["1", "2", ""]),
        (pd.Series([1.5, 2.0, None]), ["1.5", "2", ""]),
        (pd.Series(["x", "y", None], dtype="category"), ["x", "y", ""]),
        (pd.Series([7, 7, 8], dtype="category"), ["7", "7", "8"]),
        (pd.Series(["007", "None", None]), ["007", "None", ""]),
    ],
)
def test_typed_columns_of_parquet_keep_their_value(tmp_path, pictures, column, names):
    table = pd.DataFrame({"path": [f"set/{name}" for name in pictures], "patient": column})
    table.to_parquet(tmp_path / "m.parquet")
    manifest = Manifest.read(tmp_path / "m.parquet", identity_column="patient")
    assert list(manifest.table["identity"]) == names
    manifest.write(tmp_path / "again.csv")
    assert list(Manifest.read(tmp_path / "again.csv").table["identity"]) == names


def test_names_are_compared_composed(tmp_path, save_noise):
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    for number, name in enumerate(names):
        save_noise(f"set/{name}/{number}.png")
    save_noise("set/other/1.png")
    assert sorted(set(Manifest.read(tmp_path / "set").identities)) == ["Zoë", "other"]
    listed = tmp_path / "m.csv"
    listed.write_text(f"path,identity\nset/{names[0]}/0.png,{names[1]}\nset/{names[1]}/1.png,{names[0]}\n")
    assert set(Manifest.read(listed).identities) == {"Zoë"}
    listed.write_text(f"path\nset/other/1.png\nset/{names[0]}/1.png\n")  # the file lies in the folder in NFD
    assert Manifest.read(listed).paths[1] == str(tmp_path / "set" / names[1] / "1.png")


def test_paths_of_windows(tmp_path, pictures):
    (tmp_path / "m.csv").write_text("path,identity\nset\\a.png,x\nset\\b.png,y\n")
    assert Manifest.read(tmp_path / "m.csv").paths == [str(tmp_path / "set/a.png"), str(tmp_path / "set/b.png")]


def test_paths_may_start_elsewhere(tmp_path, pictures):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "m.csv").write_text("path,identity\na.png,x\nb.png,y\n")
    with pytest.raises(LCMemError, match="none of the 2 listed pictures is there"):
        Manifest.read(tmp_path / "tables" / "m.csv")
    manifest = Manifest.read(tmp_path / "tables" / "m.csv", root=tmp_path / "set", identity_pattern=r"^/(\w)")
    assert manifest.paths == [str(tmp_path / "set/a.png"), str(tmp_path / "set/b.png")]
    assert manifest.identities == ["a", "b"]


def test_a_row_listed_twice_is_used_once(tmp_path, pictures):
    (tmp_path / "m.csv").write_text("path,identity,note\nset/a.png,x,1\nset/b.png,y,2\nset/a.png,x,3\n")
    with pytest.warns(LCMemWarning, match=r"1 rows list a picture again, for example .*a\.png"):
        manifest = Manifest.read(tmp_path / "m.csv")
    assert manifest.identities == ["x", "y"] and list(manifest.table["note"]) == ["1", "2"]
    (tmp_path / "m.csv").write_text("path,identity\nset/a.png,x\nset/a.png,y\n")
    with pytest.raises(LCMemError, match=r"a\.png is listed more than once and not alike .*identity 'x'.*identity 'y'"):
        Manifest.read(tmp_path / "m.csv")


def test_an_ordinary_table_is_read_without_a_word(tmp_path, pictures):
    (tmp_path / "m.csv").write_text("path,identity\nset/a.png,x\nset/b.png,x\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Manifest.read(tmp_path / "m.csv")


def test_a_path_with_a_null_byte_is_no_file(save_noise, tmp_path):
    save_noise("a.png")
    (tmp_path / "m.csv").write_bytes(b"path\na.png\na\0b.png\n")
    reasons = content_table(Manifest.read(tmp_path / "m.csv").paths, {})["reason"].tolist()
    assert reasons[0] == "" and "a\0b.png" in reasons[1]


def test_cells_behind_the_last_column(tmp_path, pictures):
    """Spreadsheet programs leave a comma at the end of each row; pandas would take the first column for a label."""
    rows = [f"set/{picture},00{k}," for k, picture in enumerate(pictures)]
    (tmp_path / "m.csv").write_text("\n".join(["path,identity", *rows]))
    assert Manifest.read(tmp_path / "m.csv").identities == ["000", "001", "002"]
    (tmp_path / "m.csv").write_text("\n".join(["path,identity", *(f"{row}x" for row in rows)]))
    with pytest.raises(LCMemError, match="more cells than the first line names"):
        Manifest.read(tmp_path / "m.csv")


def test_a_picture_has_one_name_however_it_is_spelt(tmp_path, save_noise):
    save_noise(tmp_path / "a" / "1.png")
    (tmp_path / "m.csv").write_text("path\na/1.png\na/../a/1.png\n./a/1.png\n")
    with pytest.warns(LCMemWarning):
        assert Manifest.read(tmp_path / "m.csv").paths == [str(tmp_path / "a" / "1.png")]
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    save_noise(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "b")
    (tmp_path / "m.csv").write_text("path\nlink/../1.png\n")
    assert os.path.samefile(Manifest.read(tmp_path / "m.csv").paths[0], tmp_path / "elsewhere" / "1.png")


def test_names_in_bytes(tmp_path, pictures):
    names = [f"set/{name}" for name in pictures]
    pd.DataFrame({"path": [name.encode() for name in names]}).to_parquet(tmp_path / "m.parquet")
    assert Manifest.read(tmp_path / "m.parquet").paths == [str(tmp_path / name) for name in names]
