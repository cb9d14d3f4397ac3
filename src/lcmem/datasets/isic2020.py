"""ISIC 2020: the training set of the melanoma challenge, as JPEG or DICOM."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble
from lcmem.datasets.layout import DatasetInfo, find_table, index_pictures, require_table
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_splits


def read_isic2020(root: Path) -> Manifest:
    """Read ISIC 2020: ``label`` is benign or malignant, ``group`` the lesion (in version 2 of the ground truth).

    Of two pictures that the list of duplicates names as the same, the second is left out.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    tables = [f"ISIC_2020_Training_GroundTruth{version}.csv" for version in ("_v2", "")]
    truth = read_table(require_table(root, ISIC2020, *tables, "train.csv"), {"image_name", "patient_id"})
    duplicates = find_table(root, "ISIC_2020_Training_Duplicates.csv")
    if duplicates is not None:
        repeated = read_table(duplicates, {"image_name_1", "image_name_2"})["image_name_2"]
        truth = truth[~truth["image_name"].isin(repeated)]
    known = truth["patient_id"] != ""
    table = pd.DataFrame({"file": truth["image_name"], "identity": ("isic_" + truth["patient_id"]).where(known, "")})
    table["split"] = hash_splits(table["identity"].where(known, table["file"]))
    for column, source in (("label", "benign_malignant"), ("group", "lesion_id")):
        if source in truth:
            table[column] = truth[source]
    return assemble(table, index_pictures(root, (".jpg", ".jpeg", ".png", ".dcm")), root, ISIC2020)


ISIC2020 = DatasetInfo(
    name="isic-2020",
    reader=read_isic2020,
    expects="train/*.jpg or *.dcm (or the zip file) and ISIC_2020_Training_GroundTruth_v2.csv, "
    "ISIC_2020_Training_GroundTruth.csv or train.csv; ISIC_2020_Training_Duplicates.csv if there",
    identity="patient",
    splits="by a hash of the patient (the official test set has no labels)",
    terms="ISIC 2020: CC BY-NC 4.0",
    url="https://challenge2020.isic-archive.com",
)
