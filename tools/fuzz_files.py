"""Whole files of every kind that is read, for :mod:`fuzz_readers` to damage, and how the program reads them."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from lcmem.errors import LCMemError
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.pictures.image import load_picture
from lcmem.pictures.manifest import Manifest

LISTED = 4
"""Pictures of a listed file that are opened as well."""


class Kind(NamedTuple):
    """Files of one kind.

    Attributes:
        share: Of all files, in parts.
        seeds: Whole ones: name and content.
        read: Reads a file, as the program does.
    """

    share: int
    seeds: list[tuple[str, bytes]]
    read: Callable[[Path], object]


def kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file with whole examples, made in a folder."""
    rng = np.random.default_rng(0)
    levels = np.cumsum(rng.integers(-9, 10, (40, 48)), axis=1).clip(-128, 127).astype(np.int16) + 128
    photo = Image.fromarray(np.stack([levels, levels.T[:40, :40].repeat(2, 1)[:, :48], 255 - levels], 2).astype("u1"))
    pictures = [(f"a.{suffix}", saved(photo, suffix)) for suffix in ("png", "jpg", "tif", "webp", "gif", "bmp", "ppm")]
    pictures += [("a.jp2", saved(photo, "jp2")), ("a.avif", saved(photo, "avif"))]
    pictures.append(("a16.png", saved(Image.fromarray((levels * 257).astype(np.uint16)), "png")))
    return {
        "pictures": Kind(38, pictures, load_picture),
        "zip files": Kind(8, [("a.zip", packed(pictures[:4]))], listed),
        "DICOM": Kind(14, dicoms(folder, levels), listed),
        "NIfTI": Kind(12, volumes(levels), listed),
        "tables": Kind(14, tables(pictures[0][1], folder), Manifest.read),
        "checkpoints": Kind(1, checkpoint(), in_folder(checkpoint_read)),
        "calibrations": Kind(3, [("a.json", calibration(folder))], CalibrationFile.read),
        "atlases": Kind(10, atlas(folder, photo), in_folder(atlas_read)),
    }


def saved(picture: Image.Image, suffix: str) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    picture.save(stream, {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000", "ppm": "PPM"}.get(suffix, suffix.upper()))
    return stream.getvalue()


def packed(members: list[tuple[str, bytes]]) -> bytes:
    """A zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(f"p1/{name}", data)
    return stream.getvalue()


def dicoms(folder: Path, levels: np.ndarray) -> list[tuple[str, bytes]]:
    """DICOM of one frame, of several, and what pydicom brings that is small."""
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    found = [(name, Path(str(get_testdata_file(name))).read_bytes()) for name in ("CT_small.dcm", "MR_small.dcm")]
    for frames in (1, 3):
        dataset = pydicom.Dataset()
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
        dataset.PatientID, dataset.Rows, dataset.Columns = "p1", *levels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.NumberOfFrames = 1, "MONOCHROME2", frames
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.WindowCenter, dataset.WindowWidth = 128, 256
        dataset["PixelData"] = pydicom.DataElement("PixelData", "OW", levels.astype("<u2").tobytes() * frames)
        pydicom.dcmwrite(folder / "made.dcm", dataset, enforce_file_format=True)
        found.append((f"made{frames}.dcm", (folder / "made.dcm").read_bytes()))
    return found


def volumes(levels: np.ndarray) -> list[tuple[str, bytes]]:
    """NIfTI 1 and 2, packed and not."""
    import nibabel

    stack = np.stack([levels, levels[::-1], levels], 2)
    one, two = (kind(stack, np.eye(4)).to_bytes() for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image))
    return [("a.nii", one), ("b.nii", two), ("a.nii.gz", gzip.compress(one))]


def tables(picture: bytes, folder: Path) -> list[tuple[str, bytes]]:
    """CSV, TSV and Parquet that list pictures which are there."""
    (folder / "1.png").write_bytes(picture)
    table = pd.DataFrame({"path": [f"{folder}/1.png", "2.png"], "identity": ["007", "Ä"], "split": "", "age": [1, 2]})
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    texts = [
        (f"a.{name}", table.to_csv(index=False, sep=sign).encode()) for name, sign in (("csv", ";"), ("tsv", "\t"))
    ]
    return [*texts, ("a.csv.gz", gzip.compress(texts[0][1])), ("a.parquet", parquet.getvalue())]


def checkpoint() -> list[tuple[str, bytes]]:
    """The files of the bundled detector."""
    import lcmem

    folder = Path(lcmem.__file__).parent / "weights" / "compact"
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def calibration(folder: Path) -> bytes:
    """What ``lcmem calibrate`` writes."""
    from lcmem.detectors.registry import load_detector
    from lcmem.jobs.calibrate import calibrate_pictures
    from lcmem.jobs.demo import faces_folder

    faces = Manifest.read(faces_folder()).rows(range(80))
    calibrate_pictures(faces, load_detector("phash"), folder / "calibration.json", workers=0)
    return (folder / "calibration.json").read_bytes()


def atlas(folder: Path, photo: Image.Image) -> list[tuple[str, bytes]]:
    """The files of an atlas of four pictures."""
    from lcmem.atlas import Atlas, fill_atlas
    from lcmem.detectors.lcmem import LCMem

    (folder / "set").mkdir()
    for number in range(4):
        photo.rotate(45 * number).save(folder / "set" / f"{number}.png")
    detector = LCMem.load("compact")
    fill_atlas(Manifest.read(folder / "set"), detector, Atlas.create(folder / "atlas", detector), workers=0)
    found = sorted(path for path in (folder / "atlas").rglob("*") if path.is_file())
    return [(str(path.relative_to(folder / "atlas")), path.read_bytes()) for path in found]


def listed(path: Path) -> None:
    """List a file's pictures and open some; those that cannot be used are set aside, as everywhere."""
    refused = 0
    for picture in (paths := Manifest.read(path, identity_tag=None).paths)[:LISTED]:
        try:
            load_picture(picture)
        except LCMemError:
            refused += 1
    if refused:
        raise LCMemError(f"{refused} of {min(LISTED, len(paths))} pictures")


def in_folder(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Read the folder that a damaged file lies in, beside whole ones."""
    read.whole_folder = True  # type: ignore[attr-defined]
    return read


def checkpoint_read(folder: Path) -> None:
    """Load a detector."""
    from lcmem.detectors.lcmem import LCMem

    LCMem.load(str(folder))


def atlas_read(folder: Path) -> None:
    """Read everything of an atlas."""
    from lcmem.atlas import Atlas

    opened = Atlas.open(folder)
    _ = opened.manifest, opened.features(), opened.blocks()
