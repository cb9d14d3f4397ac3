"""Claims: damaged files end in a line, kills lose nothing, archives and tables lead nowhere, bombs do not go off."""

import gzip
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lcmem.errors import LCMemError, PictureError
from lcmem.jobs.check import inspect_pictures
from lcmem.jobs.filter import _collect
from lcmem.pictures import paths as reading
from lcmem.pictures.content import content_table
from lcmem.pictures.image import load_picture
from lcmem.pictures.listing import OUTSIDE
from lcmem.pictures.manifest import Manifest

TOOL = Path(__file__).parent.parent / "tools" / "robustness.py"


@pytest.mark.skipif(sys.platform == "win32", reason="the tool needs processes that can be copied")
@pytest.mark.parametrize("what", ["files --count 40", "kills --count 2 --commands index"])
def test_the_figures_of_the_page_on_a_small_scale(what):
    """The command exits with 1, and says what went wrong, if anything did."""
    done = subprocess.run([sys.executable, TOOL, *what.split(), "--seed", "7"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("| ") > 5


def test_an_archive_leads_nowhere(save_noise, tmp_path):
    """Nothing is ever unpacked; names that lead out are not even listed, and links are not followed."""
    picture = save_noise("a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("p1/a.png", "../out.png", "p1/../../out.png", "/abs.png", "..\\out.png"):
            archive.writestr(name, picture)
        link = zipfile.ZipInfo("p1/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(tmp_path / "a.png"))
    manifest = Manifest.read(tmp_path / "set.zip")
    assert manifest.paths == [f"{tmp_path}/set.zip/p1/a.png", f"{tmp_path}/set.zip/p1/link.png"]
    assert manifest.ignored == {OUTSIDE: 4}
    with pytest.raises(PictureError, match=r"link\.png: not a readable picture"):
        load_picture(manifest.paths[1])


def test_what_a_filter_keeps_stays_in_its_folder(save_noise, tmp_path):
    save_noise("set/lists/1.png")
    save_noise("evil.png")
    paths = [f"{tmp_path}/set/lists/1.png", f"{tmp_path}/set/lists/../../evil.png"]
    (tmp_path / "out").mkdir()
    _collect(paths, tmp_path / "out" / "kept", link=False)
    kept = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert kept == ["kept/evil.png", "kept/set/lists/1.png"]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_picture_that_claims_to_be_huge(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10**6))))
    with pytest.raises(PictureError, match="60000×60000 pixels are too many"):
        load_picture(tmp_path / "a.png")


def test_a_member_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", b"BM" + bytes(2 * 10**6))
    (tmp_path / "b.bmp").write_bytes(b"BM" + bytes(2 * 10**6))
    for path in (f"{tmp_path}/set.zip/a.bmp", f"{tmp_path}/b.bmp"):
        with pytest.raises(PictureError, match=r"2000002 bytes.*no picture"):
            load_picture(path)


def test_volumes_that_claim_to_be_huge(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    header = nibabel.Nifti2Image(np.zeros((20, 20, 2), np.int16), np.eye(4)).to_bytes()[:544]
    data = bytearray(header)
    data[16:48] = struct.pack("<4q", 3, 512, 512, 2**33)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(data) + bytes(10**6)))
    (listed,) = Manifest.read(tmp_path / "a.nii.gz").paths
    with pytest.raises(PictureError, match="too many"):
        load_picture(f"{listed}#slice=0")


def test_a_file_of_countless_frames(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.NumberOfFrames = 2**31 - 1
    dataset.save_as(tmp_path / "a.dcm")
    (listed,) = Manifest.read(tmp_path / "a.dcm").paths
    with pytest.raises(PictureError):
        load_picture(listed)


def test_damaged_libraries_words_fit_in_a_line(tmp_path):
    pd.DataFrame({"path": ["a.png"]}).to_parquet(tmp_path / "m.parquet")
    data = bytearray((tmp_path / "m.parquet").read_bytes())
    data[-30:-10] = bytes(20)
    (tmp_path / "m.parquet").write_bytes(bytes(data))
    with pytest.raises(LCMemError) as refused:
        Manifest.read(tmp_path / "m.parquet")
    assert "\n" not in str(refused.value) and "m.parquet" in str(refused.value)


def test_an_archive_that_was_replaced_is_another_one(save_noise, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / "set.zip").unlink(missing_ok=True)
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            archive.write(save_noise(name), "p1/a.png")
        np.testing.assert_array_equal(load_picture(f"{tmp_path}/set.zip/p1/a.png"), load_picture(tmp_path / name))


def test_an_archive_of_an_unknown_version(save_noise, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.write(save_noise("a.png"), "a.png")
    data = bytearray((tmp_path / "set.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 230
    (tmp_path / "set.zip").write_bytes(bytes(data))
    with pytest.raises(LCMemError, match=r"set\.zip: not a zip file that can be read .*version 23"):
        Manifest.read(tmp_path / "set.zip")


def test_a_pipe_with_a_picture_s_name_is_skipped(save_noise, tmp_path):
    save_noise("set/a.png")
    os.mkfifo(tmp_path / "set" / "b.png")
    manifest = Manifest.read(tmp_path / "set")
    found = inspect_pictures(manifest.paths, workers=0)
    assert len(found.sizes) == 1 and "a pipe or a device" in found.unreadable[0][1]
    assert list(content_table(manifest.paths, {})["reason"] != "") == [False, True]


def test_a_member_spelt_in_two_ways_is_read_once(save_noise, tmp_path):
    picture = save_noise("a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("x/a.png", picture)
        archive.writestr("x\\a.png", picture)
    manifest = Manifest.read(tmp_path / "set.zip")
    assert len(manifest) == 1 and sum(manifest.ignored.values()) == 1
