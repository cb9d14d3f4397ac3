"""Claim: lcmem check says on one page whose pictures these are, what cannot be used, and what to do about it."""

import json
import shutil
import zipfile

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lcmem.atlas import Atlas, fill_atlas
from lcmem.cli import main
from lcmem.pictures.manifest import Manifest

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n0 0 40 40 rectfill\nshowpage\n"


@pytest.fixture
def check(monkeypatch, capsys):
    """Run the command; exit code, page, and remarks on standard error."""

    def check(*arguments):
        monkeypatch.setattr("sys.argv", ["lcmem", "check", *map(str, arguments), "--workers", "0"])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        return stop.value.code or 0, output.out, output.err

    return check


def test_ids_in_file_names_are_proposed(check, save_noise, tmp_path):
    for person in range(4):
        for number in range(3):
            save_noise(f"xrays/0000050{person}_{number:03}.png")
    code, page, _ = check(tmp_path / "xrays")
    assert code == 0 and "identities unknown" in page
    assert r"--identity-pattern '(\d+)_' would give 4 identities for 12 pictures" in page
    code, page, _ = check(tmp_path / "xrays", "--identity-pattern", r"(\d+)_")
    assert "4 identities for 12 pictures" in page and "unknown" not in page


def test_a_column_of_patients_is_proposed(check, save_noise, tmp_path):
    paths = [save_noise(f"set/{k}.png").name for k in range(4)]
    table = pd.DataFrame({"path": [f"set/{name}" for name in paths], "patient": ["001", "001", "002", "003"]})
    table.to_csv(tmp_path / "m.csv", index=False)
    assert "--identity-column patient would give 3 identities for 4 pictures" in check(tmp_path / "m.csv")[1]


def test_paths_of_a_table_may_start_elsewhere(check, save_noise, tmp_path, monkeypatch, capsys):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "m.csv").write_text(f"path\n{save_noise('set/a.png').name}\n")
    code, _, said = check(tmp_path / "lists" / "m.csv")
    assert code == 1 and "--root FOLDER" in said and len(said.splitlines()) == 1
    assert check(tmp_path / "lists" / "m.csv", "--root", tmp_path / "set")[0] == 0
    out = tmp_path / "absolute.csv"
    monkeypatch.setattr(
        "sys.argv",
        ["lcmem", "manifest", str(tmp_path / "lists" / "m.csv"), "--root", str(tmp_path / "set"), "--out", str(out)],
    )
    with pytest.raises(SystemExit):
        main()
    assert check(out)[0] == 0


def test_one_page_for_a_folder_with_one_of_everything(check, save_noise, tmp_path, rng):
    """Whatever people have in such folders is on the page, as a picture, with a reason, or counted."""
    root = tmp_path / "set"
    for name in ("patient1/images/a.png", "patient1/images/b.gif", "patient2/images/a.png", "patient2/images/c.webp"):
        save_noise(f"set/{name}")
    images = root / "patient2" / "images"
    shutil.copy(images / "a.png", images / "no_suffix")
    (images / "link.png").symlink_to(images / "a.png")
    (root / "linked").symlink_to(root / "patient1")
    Image.new("L", (40, 40), 255).save(images / "blank.png")
    Image.new("RGB", (4, 4), 255).save(images / "tiny.png")
    (images / "photo.jpg").write_bytes(POSTSCRIPT)
    (images / "page.jpg").write_bytes(b"<html>")
    (images / "cut.png").write_bytes((images / "a.png").read_bytes()[:60])
    pages = [Image.fromarray(rng.integers(0, 256, (40, 32, 3), dtype=np.uint8)) for _ in range(2)]
    pages[0].save(images / "two.tif", save_all=True, append_images=pages[1:])
    Image.fromarray(np.linspace(0, 4095, 1600).reshape(40, 40).astype(np.uint16)).save(images / "scan.png")
    with zipfile.ZipFile(images / "inner.zip", "w") as archive:
        archive.writestr("notes.txt", "words")
    (images / "notes.txt").write_text("words")
    (images / "scan.nii.gz").write_bytes(b"volume")
    (images / ".thumbs.png").write_bytes(b"words")
    code, page, said = check(root)
    assert code == 1, "something cannot be read"
    for text in (
        "7 can be used; most common sizes: 40×32 (6), 40×40 (1)",
        "links to the file of another picture: 1",
        "not pictures: 1 × .txt",
        "1 × hidden (their names, or those of their folders, begin with a dot)",
        "1 × .zip (give the archive itself)",
        "2 set aside",
        "patient2/images/blank.png: low information",
        "patient2/images/tiny.png: low information: 4×4 pixels are too few",
        "5 unreadable:",
        "patient2/images/scan.nii.gz: not a readable picture: damaged or cut off",
        "patient2/images/photo.jpg: not a readable picture: a PostScript file; export it as PNG",
        "patient2/images/page.jpg: not a readable picture: a web page",
        "patient2/images/cut.png: not a readable picture: damaged or cut off",
        "patient2/images/two.tif: holds 2 pages; list them one by one, as two.tif#slice=0",
    ):
        assert text in page, page
    assert "--identity-pattern '^/([^/]+)/' would give 2 identities" in page, "a link to a folder of the set is nobody"
    assert "doubtful: patient2/images/scan.png: a 16-bit file that does not say how many bits it uses" in page
    assert "12 bits" in page and not said, "all of it is on the page"
    assert not json.dumps(page).count("object at")


def test_all_of_it_as_json(check, save_noise, tmp_path):
    """The page ends its list after twenty."""
    people = {save_noise(f"set/{name}/{number}.png"): name for name in ("ann", "bob") for number in range(2)}
    for number in range(30):
        (tmp_path / "set" / "ann" / f"cut{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.new("L", (40, 40), 255).save(tmp_path / "set" / "bob" / "blank.png")
    code, page, _ = check(tmp_path / "set", "--identity-pattern", "/(ann|bob)/")
    assert code == 1 and "… and 10 more files, which --json lists" in page
    code, told, _ = check(tmp_path / "set", tmp_path / "set", "--identity-pattern", "/(ann|bob)/", "--json")
    found, again = json.loads(told)
    assert code == 1 and found == again and found["wrong"]
    assert (found["pictures"], found["usable"], found["identities"]) == (35, len(people), 2)
    assert found["datasets"] == [{"dataset": "set", "split": "", "pictures": 35, "identities": 2, "of_several": 2}]
    assert found["sizes"] == [{"width": 40, "height": 32, "pictures": 4}]
    assert [row["path"] for row in found["set_aside"]] == [str(tmp_path / "set" / "bob" / "blank.png")]
    assert len(found["unreadable"]) == 30 and all("damaged or cut off" in row["reason"] for row in found["unreadable"])


def test_an_atlas_is_checked_too(check, save_noise, tmp_path, compact):
    for name in ("ann", "bob"):
        save_noise(f"set/{name}/1.png")
    fill_atlas(Manifest.read(tmp_path / "set"), compact, Atlas.create(tmp_path / "x.atlas", compact), workers=0)
    code, page, _ = check(tmp_path / "x.atlas")
    assert code == 0 and "2 identities for 2 pictures" in page
    save_noise("set/ann/1.png", (40, 40))
    code, page, _ = check(tmp_path / "x.atlas")
    assert code == 1 and "has changed since it was encoded" in page


def test_datasets_and_their_identities_are_named(check, save_noise, tmp_path):
    rows = [
        (kind, f"{kind}{who}" if kind != "stars" else "") for kind in ("faces", "x-rays", "stars") for who in range(4)
    ]
    paths = [save_noise(f"set/{kind}{at}.png").name for at, (kind, _) in enumerate(rows)]
    table = pd.DataFrame(rows, columns=["dataset", "identity"]).assign(path=paths)
    table.to_csv(tmp_path / "set" / "t.csv", index=False)
    _, page, _ = check(tmp_path / "set" / "t.csv")
    assert (
        "each dataset has a threshold of its own; those of fewer than 20 identities share theirs (faces, x-rays)"
        in page
    )
    assert "counts as a person (stars)" in page
    table[table["dataset"] == "faces"].to_csv(tmp_path / "set" / "t.csv", index=False)
    assert "each dataset" not in check(tmp_path / "set" / "t.csv")[1]


def test_a_damaged_volume_is_one_line(check, tmp_path):
    whole = nibabel.Nifti1Image(np.zeros((20, 20, 30), np.int16), np.eye(4))
    (tmp_path / "set").mkdir()
    for name, bytes_left in (("cut.nii", 1000), ("packed.nii.gz", -40)):  # of packed ones only the end of it tells
        nibabel.save(whole, tmp_path / "set" / name)
        (tmp_path / "set" / name).write_bytes((tmp_path / "set" / name).read_bytes()[:bytes_left])
    huge = nibabel.Nifti1Header()
    huge.set_data_shape((30000, 30000, 30000))
    (tmp_path / "set" / "huge.nii").write_bytes(huge.binaryblock + bytes(4096))
    (tmp_path / "set" / "photo.jpg").write_bytes(POSTSCRIPT)
    code, page, _ = check(tmp_path / "set")
    assert code == 1 and "33 unreadable:" in page
    assert [page.count(f"{name}: ") for name in ("cut.nii", "packed.nii.gz", "huge.nii", "photo.jpg")] == [1] * 4
    assert page.count("(30 slices)") == 1
