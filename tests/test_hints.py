"""Claim: where folders or file names do not say who is shown, the program says so, with the option that would fit."""

import re
import warnings

import pandas as pd
import pytest

from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.hints import names_people, propose_column, propose_pattern
from lcmem.pictures.manifest import Manifest


def read(root, **options):
    """The manifest, and what was said about it."""
    with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
        manifest = Manifest.read(root, **options)
    return manifest, [str(remark.message) for remark in remarks]


@pytest.fixture
def lay_out(tmp_path, save_noise):
    def lay_out(*names):
        for name in names:
            save_noise(f"set/{name}", (16, 16))
        return tmp_path / "set"

    return lay_out


@pytest.mark.parametrize(
    "names",
    [
        [f"patient{p}/study{s}/view{v}.png" for p in range(3) for s in (1, 2) for v in (1, 2)],
        [f"patient{p}/images/{v}.png" for p in range(3) for v in (1, 2)],
        [f"{split}/patient{p}/images/1.png" for p, split in enumerate(["train", "train", "val"])],
        [f"p1{p}/patient1{p}/s{s}{p}/view.png" for p in range(3) for s in (1, 2)],
        [f"patient{p}/study{s}/dicom/1.png" for p in range(3) for s in (1, 2)],
    ],
    ids=["studies", "images", "splits", "unique studies", "three levels"],
)
def test_folders_that_name_no_people_are_doubted_and_the_pattern_fits(lay_out, names):
    root = lay_out(*names)
    _, said = read(root)
    (remark,) = said
    pattern = re.search(r"--identity-pattern '(.+)' would give 3 identities", remark)[1]
    manifest, said = read(root, identity_pattern=pattern)
    assert said == [] and set(manifest.identities) in (
        {"patient0", "patient1", "patient2"},
        {"patient10", "patient11", "patient12"},
    )


@pytest.mark.parametrize(
    "names",
    [
        ["ann/1.png", "ann/2.png", "bob/1.png"],
        ["train/ann/1.png", "val/bob/1.png", "val/cara/2.png"],
        ["images/ann/1.png", "images/bob/1.png"],
        ["1.png", "2.png"],
    ],
)
def test_folders_of_people_pass_in_silence(lay_out, names):
    assert read(lay_out(*names))[1] == []


@pytest.mark.parametrize("train", ["Train", "training", "TRAIN_SET", "train2017", "trainA"])
@pytest.mark.parametrize("val", ["Valid", "validation", "dev-set", "val2017", "valA"])
def test_splits_are_splits_whatever_their_spelling(lay_out, train, val):
    manifest, said = read(lay_out(f"{train}/ann/1.png", f"{val}/bob/1.png", f"{val}/2.png", "Testing/cara/1.png"))
    found = manifest.table.set_index("identity")["split"].to_dict()
    assert found == {"ann": "train", "bob": "val", "": "val", "cara": "test"} and said == []


def test_a_person_called_dev_is_no_split(lay_out):
    manifest, _ = read(lay_out("Dev/1.png", "Dev/2.png", "Tom/1.png"))
    assert sorted(manifest.identities) == ["Dev", "Dev", "Tom"] and set(manifest.table["split"]) == {""}


def test_one_number_written_in_two_ways_is_doubted(lay_out):
    """They stay two: nobody knows whether they are one."""
    found, said = read(lay_out("1/a.png", "001/b.png", "2.0/c.png", "2/d.png", "1a/e.png", "01a/f.png", "10/g.png"))
    assert "2 identities are the same number as another one and written otherwise" in found.doubt
    assert found.doubt in said[0] and found.known_identities == 7


def test_kinds_of_pictures_are_not_people(lay_out, save_noise):
    root = lay_out(*[f"{kind}/{k:03}.png" for kind in ("benign", "malignant") for k in range(100)])
    _, said = read(root)
    assert re.search("only 2 identities .*100 pictures each.*--no-identities", said[0])
    assert read(root, identities=False)[1] == []


@pytest.mark.parametrize(
    ("names", "pattern", "count"),
    [
        ([f"0000{p:04}_{k:03}.png" for p in range(12) for k in range(3)], r"(\d+)_", 12),
        ([f"{p}-{k}.png" for p in range(12) for k in range(3)], r"(\d+)-", 12),
        ([f"Anne_Müller{p}_{k:04}.png" for p in "xyz" for k in range(3)], r"/([^/]+)[_-]\d+\.[^/]*$", 3),
        ([f"{k:04}.png" for k in range(20)], None, 0),
        ([f"img_{k:04}.png" for k in range(20)], None, 0),
        ([f"{k}_{k}.png" for k in range(20)], None, 0),
    ],
)
def test_patterns_for_file_names(names, pattern, count):
    found = propose_pattern([f"/data/{name}" for name in names])
    if pattern is None:
        assert found is None
    else:
        assert found == (f"--identity-pattern '{pattern}'", count, len(names))


def test_a_proposed_pattern_fits_below_folders_with_numbers(lay_out):
    root = lay_out(*[f"batch_1_x/{p}_{k}.png" for p in (7, 8, 9) for k in (1, 2)], "batch_2_x/9_3.png")
    option, count, _ = propose_pattern(Manifest.read(root).paths)
    manifest, _ = read(root, identity_pattern=re.search("'(.+)'", option)[1])
    assert count == 3 and set(manifest.identities) == {"7", "8", "9"}


def test_columns_that_may_name_people():
    table = pd.DataFrame({"path": list("abcd"), "identity": "", "note": list("xxyy"), "Patient ID": [7, 7, 8, None]})
    assert propose_column(table) == ("--identity-column 'Patient ID'", 2, 3)
    assert propose_column(table.drop(columns="Patient ID")) is None
    alone = table.assign(**{"Patient ID": list("abcd")})
    assert propose_column(alone) == ("--identity-column 'Patient ID'", 4, 4), "patients with one picture each"
    assert propose_column(alone.rename(columns={"Patient ID": "case"})) is None, "a number for each picture"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("PatientName", True), ("patient_id", True), ("MRN", True), ("subjects", True), ("Person No", True),
        ("name", True), ("sex", False), ("PatientSex", False), ("lesion_type", False),
        ("site", False), ("filename", False),
    ],
)  # fmt: skip
def test_columns_that_say_who_somebody_is(column, expected):
    assert names_people(column) is expected


def test_a_doubt_without_a_proposal_names_the_option(lay_out):
    places = ("p1", "p2", "p3", "p4", "p5/ct1", "p5/mr2", "p6/mr1")
    _, (said,) = read(lay_out(*[f"{place}/{number}.png" for place in places for number in (1, 2)]))
    assert "None" not in said and "--identity-pattern" in said


@pytest.mark.parametrize("inner", ["", "images/"], ids=["flat", "nih"])
@pytest.mark.parametrize("batches", [4, 12])
def test_batches_are_not_people(lay_out, inner, batches):
    names = [
        f"images_{b:03}/{inner}{20 * b + p:08}_{k:03}.png" for b in range(batches) for p in range(9) for k in "123"
    ]
    root = lay_out(*names)
    _, (remark,) = read(root)
    pattern = re.search(r"as batches do; --identity-pattern '(.+)' would give", remark)[1]
    manifest, said = read(root, identity_pattern=pattern)
    assert said == [] and len(set(manifest.identities)) == 9 * batches


@pytest.mark.parametrize(
    "names",
    [
        [f"Ann_{p}/Ann_{p}_{k:04}.png" for p in range(3) for k in range(25)],
        [f"p{p}/view{k // 5}_{k:04}.png" for p in range(3) for k in range(25)],
    ],
    ids=["named like folders", "views of each"],
)
def test_people_with_many_pictures_are_no_batches(lay_out, names):
    assert read(lay_out(*names))[1] == []


def test_a_person_called_test_among_others_is_asked_about(lay_out):
    root = lay_out("ann/1.png", "ann/2.png", "test/1.png", "bob/1.png")
    _, (remark,) = read(root)
    assert "'test' is taken for the pictures of a split, but 'ann' lies beside it" in remark
    pattern = re.search("--identity-pattern '(.+)' would give 3 identities for 4 pictures", remark)[1]
    assert set(read(root, identity_pattern=pattern)[0].identities) == {"ann", "bob", "test"}


def test_a_pattern_that_fits_everything_is_doubted(lay_out):
    root = lay_out(*[f"{k:03}.png" for k in range(100)])
    manifest, (said,) = read(root, identity_pattern=".")
    assert len(set(manifest.identities)) == 1 and "only 1 identity ('/', …) with 100 pictures each" in said


def test_options_that_would_be_ignored_are_refused(lay_out):
    root = lay_out("1.png")
    with pytest.raises(LCMemError, match=r"no such folder .* correct --root"):
        Manifest.read(root, root=root / "gone")
    with pytest.raises(LCMemError, match="does not go with --no-identities"):
        Manifest.read(root, identity_pattern="(.)", identities=False)
