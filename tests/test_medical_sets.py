"""Claims: studies and volumes are audited whole, each person counts once, and no output names a patient."""

import itertools
import re
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lcmem.cli import main
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.pictures.hints import called_alike, hashed_numbers
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.medical import KEY
from lcmem.pictures.sources import without_ids

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid  # noqa: E402

HASH = re.compile(r"id-[0-9a-f]{12}")
PATIENTS = [f"DOE^{name}" for name in ("ANNA", "BERT", "CARL", "DORA", "EMIL", "FRED")]


def write_dicom(path, frames: np.ndarray, patient: str, enhanced: bool = False) -> None:
    """A file of frames ``[N, H, W]`` uint16 of 12 bits; enhanced ones have a window for each frame."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = EnhancedCTImageStorage if enhanced else CTImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientID, dataset.Modality = patient, "CT"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *frames.shape[1:], 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    window = pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = 2048, 4096
    if enhanced:
        item = pydicom.Dataset()
        item.FrameVOILUTSequence = [window]
        dataset.PerFrameFunctionalGroupsSequence = [item] * len(frames)
    else:
        dataset.update(window)
    dataset["PixelData"] = pydicom.DataElement("PixelData", "OW", frames.tobytes())
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


@pytest.fixture(scope="module")
def pictures(orl) -> np.ndarray:
    """Four faces of each of six people, 12 bits, ``[6, 4, 112, 92]``."""
    return (
        np.stack([np.asarray(Image.open(path)) for path in orl.paths[:60]])[:, :, :]
        .reshape(6, 10, 112, 92)[:, :4]
        .astype(np.uint16)
        * 16
    )


@pytest.fixture
def study(tmp_path, pictures):
    """Six patients: series of single files in one folder, a multi-frame file, and an enhanced one."""
    folder = tmp_path / "study"
    folder.mkdir()
    for number, (patient, frames) in enumerate(zip(PATIENTS, pictures, strict=True)):
        if number < 4:
            for slice_number, frame in enumerate(frames):
                write_dicom(folder / f"IM{number}{slice_number}", frame[None], patient)
        else:
            write_dicom(folder / f"cine{number}.dcm", frames, patient, enhanced=number == 5)
    return folder


def read(source, **options):
    with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
        return Manifest.read(source, **options), " ".join(str(remark.message) for remark in remarks)


def test_a_study_has_a_picture_for_each_frame(study, pictures):
    manifest, said = read(study)
    assert len(manifest) == 24 and [f"{study}/cine5.dcm#slice={k}" in manifest.paths for k in range(4)] == [True] * 4
    assert f"--identity-tag PatientID would give 6 identities for {4 * 4 + 2} files" in said
    assert manifest.table["identity"].nunique() == 3, "frames of one file are one person; the others are unknown"
    for frame in range(4):
        shown = load_levels(f"{study}/cine5.dcm#slice={frame}")[0].astype(int)
        assert np.abs(shown - pictures[5, frame] // 16).max() <= 1


def test_the_patient_is_the_identity_if_asked_for(study, monkeypatch):
    manifest, said = read(study, identity_tag="PatientID")
    assert manifest.table["identity"].nunique() == 6 and said == ""
    assert all(map(HASH.fullmatch, manifest.table["identity"]))
    assert set(read(study, identity_tag="PatientID", show_ids=True)[0].table["identity"]) == set(PATIENTS)
    monkeypatch.setenv(KEY, "secret")
    other = read(study, identity_tag="PatientID")[0]
    assert not set(other.table["identity"]) & set(manifest.table["identity"]), "nobody can try all ids"
    assert not any(read(study, identities=False)[0].table["identity"])


@pytest.mark.parametrize(("tag", "message"), [("Patient", "not a keyword"), ("PatientBirthDate", "none of the 18")])
def test_a_tag_that_cannot_be_used(study, tag, message):
    with pytest.raises(LCMemError, match=message):
        Manifest.read(study, identity_tag=tag)
    Image.new("L", (40, 40)).save(study.parent / "a.png")
    shutil.rmtree(study)
    assert "is for DICOM files, and there are none" in read(study.parent, identity_tag="PatientID")[1], (
        "a holdout of PNG"
    )


def test_names_of_slices_and_of_files_called_otherwise_are_hashed_as_well(study, tmp_path):
    slices = [f"{study}/cine5.dcm#slice={k}" for k in range(2)]
    pd.DataFrame({"path": slices, "identity": "SCHULZE"}).to_csv(tmp_path / "slices.csv", index=False)
    (tmp_path / "otherwise" / "SCHULZE").mkdir(parents=True)
    (tmp_path / "otherwise" / "MEIER").mkdir()
    for name, person in (("a.tif", "SCHULZE"), ("b.png", "MEIER"), ("c.jpg", "MEIER")):
        shutil.copy(study / "IM00", tmp_path / "otherwise" / person / name)
    for source in (tmp_path / "slices.csv", tmp_path / "otherwise"):
        manifest, _ = read(source)
        assert all(map(HASH.fullmatch, manifest.table["identity"]))
        known = read(source, identity_tag="PatientID", show_ids=True)[0].table["identity"]
        assert set(known) == {PATIENTS[5] if source.suffix else PATIENTS[0]}


def test_folders_that_are_not_the_patients_of_the_headers_are_doubtful(tmp_path, pictures):
    """A folder for each series of a patient, as scanners write them."""
    for number in range(3):
        for series in range(2):
            place = tmp_path / "tree" / f"s{number}{series}"
            place.mkdir(parents=True)
            write_dicom(place / "1.dcm", pictures[number, :1], PATIENTS[number])
    manifest, said = read(tmp_path / "tree")
    assert "the folders are not the patients that the DICOM files name (3 patients have pictures in several)" in said
    assert "--identity-tag PatientID would give 3 identities for 6 files" in said and "3 patients" in manifest.doubt
    assert not read(tmp_path / "tree", identity_tag="PatientID")[1]
    for number in range(3):
        shutil.rmtree(tmp_path / "tree" / f"s{number}1")
    assert not read(tmp_path / "tree")[1], "a folder for each patient"


def test_ct_of_several_windows_is_doubtful(study):
    """What a generator was shown may have been the second."""
    path = study / "IM00"
    dataset = pydicom.dcmread(path)
    dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
    dataset.save_as(path)
    assert "1 CT files declare several windows, of which the first is shown" in read(study)[1]


def test_hashed_and_open_names_are_compared():
    """A real set of DICOM files and a holdout of PNG files; leading zeros are seen through hashes as well."""

    def pictures_of(names, hashed):
        rows = {"path": [f"/{k}.png" for k in range(len(names))], "identity": names, "split": "", "dataset": ""}
        found = Manifest(pd.DataFrame(rows), numbers=hashed_numbers(pd.Series(names)) if hashed else {})
        return replace(found, table=without_ids(found.table, "identity")) if hashed else found

    real, holdout = ["007", "8", "x", "y"], ["7", "8", "x", "z", ""]
    for one, other in itertools.product((False, True), repeat=2):
        assert called_alike(pictures_of(real, one), pictures_of(holdout, other)) == (3, 2)


def test_hashes_are_not_hashed_again(study, tmp_path):
    manifest, _ = read(study, identity_tag="PatientID")
    manifest.write(tmp_path / "m.csv")
    assert list(read(tmp_path / "m.csv")[0].table["identity"]) == list(manifest.table["identity"])


def test_a_volume_is_expanded_wherever_it_stands(tmp_path, pictures):
    volume = nibabel.Nifti1Image(np.moveaxis(pictures[0], 0, 2).astype(np.int16), np.eye(4))
    (tmp_path / "set" / "p1").mkdir(parents=True)
    path = tmp_path / "set" / "p1" / "scan.nii.gz"
    nibabel.save(volume, path)
    slices = [f"{path}#slice={k}" for k in range(4)]
    pd.DataFrame({"path": ["set/p1/scan.nii.gz"]}).to_csv(tmp_path / "m.csv", index=False)
    pd.DataFrame({"path": ["set/p1/scan.nii.gz#slice=2"]}).to_csv(tmp_path / "one.csv", index=False)
    for source in (path, tmp_path / "set", tmp_path / "m.csv"):
        assert Manifest.read(source).paths == slices and Manifest.read(source).table["identity"].nunique() == 1
    assert Manifest.read(tmp_path / "one.csv").paths == slices[2:3]
    archive = shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    assert Manifest.read(archive).paths == [f"{archive}/p1/scan.nii.gz#slice={k}" for k in range(4)]


@pytest.mark.parametrize("kind", ["study", "volume", "png"])
def test_audited_end_to_end_without_a_name(kind, study, tmp_path, pictures, monkeypatch, capsys):
    real, options = study, ["--identity-tag", "PatientID"]
    if kind == "volume":
        real, options = tmp_path / "volume.nii.gz", []
        stack = np.moveaxis(pictures.reshape(-1, 112, 92), 0, 2).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(stack[::-1, ::-1], np.diag([1, 1, 1, 1])), real)
    elif kind == "png":
        real, options = tmp_path / "png", []
        for patient, frames in zip(PATIENTS, pictures, strict=True):
            (real / patient).mkdir(parents=True)
            for number, frame in enumerate(frames):
                Image.fromarray(frame).save(real / patient / f"{number}.png")
    manifest, _ = read(real, identity_tag="PatientID" if kind == "study" else None)
    (tmp_path / "synthetic").mkdir()
    for number, path in enumerate(manifest.paths[::3]):
        Image.fromarray(load_levels(path)[0]).save(tmp_path / "synthetic" / f"{number}.png")
    out = tmp_path / "out"
    arguments = ["lcmem", "audit", real, tmp_path / "synthetic", "--out", out, "--model", "phash", *options]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    matches = pd.read_csv(out / "matches.csv")
    assert (matches["verdict"] == "copy").sum() >= 8 and all(map(HASH.fullmatch, matches["identity"]))
    if kind == "study":
        written = [path.read_bytes() for path in out.rglob("*") if path.is_file()] + [said.out.encode()]
        assert not any(b"DOE" in content for content in written)
