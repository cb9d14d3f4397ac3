"""Claim: nothing in a folder vanishes: a file is a picture by its content, is skipped with a reason, or is counted."""

import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from lcmem.errors import LCMemError, PictureError
from lcmem.pictures.content import content_table
from lcmem.pictures.image import load_picture
from lcmem.pictures.manifest import Manifest

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n0 0 40 40 rectfill\nshowpage\n"


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8))


def names(manifest: Manifest) -> list[str]:
    return [os.path.basename(path) for path in manifest.paths]


@pytest.mark.parametrize("name", ["a.gif", "a.avif", "a.jp2", "a.jfif", "a.jpe", "a.pnm", "a", "a.IMA", "a.dat"])
def test_pictures_are_known_by_their_content(tmp_path, name):
    kind = {"a.gif": "GIF", "a.avif": "AVIF", "a.jp2": "JPEG2000", "a.pnm": "PPM"}.get(name, "JPEG")
    if name == "a.IMA":
        pytest.importorskip("pydicom")
        from pydicom.data import get_testdata_file

        shutil.copy(get_testdata_file("CT_small.dcm"), tmp_path / name)
    else:
        picture().save(tmp_path / name, format=kind)
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path)
    assert names(Manifest.read(tmp_path)) == [name]
    assert names(Manifest.read(tmp_path / "set.zip")) == [name]
    assert load_picture(Manifest.read(tmp_path).paths[0]).shape[0] == 3


def test_dicom_without_a_preamble(tmp_path):
    pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    with open(get_testdata_file("CT_small.dcm"), "rb") as whole:
        data = whole.read()
    meta = int.from_bytes(data[140:144], "little")
    (tmp_path / "IM0001").write_bytes(data[144 + meta :])
    assert names(Manifest.read(tmp_path)) == ["IM0001"]
    np.testing.assert_array_equal(load_picture(tmp_path / "IM0001"), load_picture(get_testdata_file("CT_small.dcm")))


def test_other_files_are_counted(tmp_path):
    picture().save(tmp_path / "a.png")
    for name in ("notes.TXT", "more.txt", "README", ".hidden.png"):
        (tmp_path / name).write_bytes(b"words")
    (tmp_path / "broken.png").write_bytes(b"")
    manifest = Manifest.read(tmp_path)
    assert names(manifest) == ["a.png", "broken.png"], "what claims to be a picture is listed, then skipped by name"
    assert manifest.ignored == {".txt": 2, "no suffix": 1, "hidden": 1}
    shutil.rmtree(tmp_path / "only", ignore_errors=True)
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.doc").write_bytes(b"words")
    with pytest.raises(LCMemError, match=r"no pictures found \(1 × \.doc\)"):
        Manifest.read(tmp_path / "only")


def test_what_lies_in_hidden_folders_is_nobodys_picture(tmp_path):
    """Deleted pictures, an editor's backups, thumbnails of a file server."""
    for folder in ("p1", "p2", "p1/.ipynb_checkpoints", ".Trash-1000/files", "@eaDir", "__MACOSX/p1"):
        (tmp_path / ".pack" / folder).mkdir(parents=True)
        Image.new("RGB", (24, 24)).save(tmp_path / ".pack" / folder / "a.png")
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for path in (tmp_path / ".pack").rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path / ".pack"))
    for source in (tmp_path / ".pack", tmp_path / "pack.zip"):
        manifest = Manifest.read(source)
        assert manifest.identities == ["p1", "p2"] and manifest.ignored == {"hidden": 4}, (
            "a hidden folder may be named itself"
        )


def test_linked_folders_are_followed_and_cycles_are_not(tmp_path):
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    for number, folder in enumerate((elsewhere / "p2", root / "p1")):
        folder.mkdir(parents=True)
        picture(number).save(folder / "a.png")
    (root / "linked").symlink_to(elsewhere)
    (root / "p1" / "up").symlink_to(root)
    (root / "a").symlink_to(root / "p1")
    (elsewhere / "back").symlink_to(root)
    manifest = Manifest.read(root)
    assert sorted(manifest.table["identity"]) == ["p1", "p2"]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, save_noise, monkeypatch):
    """Left out in silence, its pictures would be forgotten, and copies of them would pass."""
    for folder in ("ann", "bob", "lost+found"):
        save_noise(f"set/{folder}/1.png")
    scan = os.scandir

    def refused(folder):
        if os.path.basename(folder) in ("bob", "lost+found"):
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(LCMemError, match=r"bob: cannot be listed \(Permission denied\)"):
        Manifest.read(tmp_path / "set")
    (tmp_path / "set" / "bob" / "1.png").unlink(), (tmp_path / "set" / "bob").rmdir()
    assert len(Manifest.read(tmp_path / "set")) == 1, "what a disk itself keeps is no folder of pictures"


def test_postscript_named_as_a_photo_is_not_run(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(POSTSCRIPT)
    with pytest.raises(PictureError, match=r"photo\.jpg: not a readable picture"):
        load_picture(tmp_path / "photo.jpg")


@pytest.mark.parametrize(("suffix", "kind"), [("tif", "TIFF"), ("gif", "GIF"), ("png", "PNG"), ("webp", "WEBP")])
def test_of_several_pages_one_must_be_named(tmp_path, suffix, kind):
    path = tmp_path / f"a.{suffix}"
    pages = [Image.new("RGB", (24, 24), (level, 0, 0)) for level in (0, 100, 200)]
    pages[0].save(
        path, format=kind, save_all=True, append_images=pages[1:], **({"lossless": True} if suffix == "webp" else {})
    )
    with pytest.raises(PictureError, match=r"3 pages.*#slice=0"):
        load_picture(path)
    reds = [load_picture(f"{path}#slice={page}")[0].mean() * 255 for page in range(3)]
    np.testing.assert_allclose(reds, [0, 100, 200], atol=6)
    with pytest.raises(PictureError, match="no page 3"):
        load_picture(f"{path}#slice=3")


def test_a_zip_file_that_cannot_be_unpacked_is_skipped_by_name(tmp_path):
    picture().save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "b.png")
    data = bytearray((tmp_path / "set.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method becomes deflate64
        at = data.index(signature) + offset
        data[at : at + 2] = (9).to_bytes(2, "little")
    (tmp_path / "set.zip").write_bytes(bytes(data))
    manifest = Manifest.read(tmp_path / "set.zip")
    assert names(manifest) == ["b.png"]
    with pytest.raises(PictureError, match=r"set\.zip/b\.png"):
        load_picture(manifest.paths[0])


def write_zip(path, *members):
    picture().save(path.parent / "inside.png")
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.write(path.parent / "inside.png", member)
    return path


def test_a_zip_file_of_windows_has_folders(tmp_path):
    archive = write_zip(tmp_path / "set.zip", "p1\\a.png", "p2\\b.png")
    manifest = Manifest.read(archive)
    assert manifest.paths == [f"{archive}/p1/a.png", f"{archive}/p2/b.png"] and manifest.identities == ["p1", "p2"]
    assert load_picture(manifest.paths[1]).shape == (3, 24, 24)


def test_a_zip_file_below_a_folder_that_is_called_like_one(tmp_path):
    (tmp_path / "x.zip").mkdir()
    archive = write_zip(tmp_path / "x.zip" / "SET.ZIP", "p1/a.png")
    assert load_picture(Manifest.read(archive).paths[0]).shape == (3, 24, 24)
    picture().save(tmp_path / "x.zip" / "plain.png")
    assert load_picture(tmp_path / "x.zip" / "plain.png").shape == (3, 24, 24)


def test_two_members_of_one_name_are_counted(tmp_path):
    """As of two exports into one archive: only one of them can be asked for."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = write_zip(tmp_path / "set.zip", "p1/a.png", "p1/a.png", "p2/b.png")
    manifest = Manifest.read(archive)
    assert len(manifest) == 2 and manifest.ignored == {"there twice": 1}


def test_a_zip_file_inside_is_named_with_what_to_do(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", "a.png")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "inner.zip")
    (tmp_path / "folder").mkdir()
    shutil.copy(inner, tmp_path / "folder")
    for source in (tmp_path / "outer.zip", tmp_path / "folder"):
        with pytest.raises(LCMemError, match=r"no pictures found \(1 × \.zip \(give the archive itself\)\)"):
            Manifest.read(source)


@pytest.mark.parametrize(
    ("flag", "method", "message"), [(1, None, "encrypted; unpack"), (None, 9, "packed by a method.*pack it again")]
)
def test_members_that_cannot_be_unpacked_say_what_to_do(tmp_path, flag, method, message):
    archive = write_zip(tmp_path / "set.zip", "a.png")
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # general flags, and behind them the method
        at = data.index(signature) + offset
        data[at] |= flag or 0
        data[at + 2] = method or data[at + 2]
    archive.write_bytes(bytes(data))
    with pytest.raises(PictureError, match=rf"set\.zip/a\.png: {message}"):
        load_picture(Manifest.read(archive).paths[0])
    (reason,) = content_table(Manifest.read(archive).paths, {})["reason"]
    assert reason.startswith(f"{archive}/a.png: ") and re.search(message, reason)
