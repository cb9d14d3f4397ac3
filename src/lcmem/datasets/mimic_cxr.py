"""MIMIC-CXR: chest X-rays, as JPEG (MIMIC-CXR-JPG) or DICOM (MIMIC-CXR)."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble, join_labels
from lcmem.datasets.layout import DatasetInfo, find_table, index_pictures, require_table
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_splits

IDS = {"dicom_id", "study_id", "subject_id"}


def read_mimic_cxr(root: Path) -> Manifest:
    """Read MIMIC-CXR: ``group`` is the study, ``view`` PA, AP, LATERAL, …, ``label`` joins findings.

    ``view`` needs the metadata table and ``label`` the CheXpert table, which both come with MIMIC-CXR-JPG only, as does
    the official split; without it, patients are split by a hash.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    listing = require_table(
        root, MIMIC_CXR, "mimic-cxr-*-metadata.csv*", "cxr-record-list.csv*", "mimic-cxr-*-split.csv*"
    )
    table = read_table(listing, IDS)
    table["view"] = table.get("ViewPosition", "")
    table = table[[*sorted(IDS), "view"]]
    table["identity"] = "mimic_" + table["subject_id"]
    table["split"] = _splits(table, find_table(root, "mimic-cxr-*-split.csv*"))
    findings = find_table(root, "mimic-cxr-*-chexpert.csv*")
    if findings is not None:
        table = table.merge(_labels(findings), on=["subject_id", "study_id"], how="left").fillna("")
    table = table.rename(columns={"dicom_id": "file", "study_id": "group"}).drop(columns="subject_id")
    return assemble(table, index_pictures(root, (".jpg", ".png", ".dcm")), root, MIMIC_CXR)


def _splits(table: pd.DataFrame, official: Path | None) -> pd.Series:
    if official is None:
        return hash_splits(table["identity"])
    splits = read_table(official, {"dicom_id", "split"}).drop_duplicates("dicom_id").set_index("dicom_id")["split"]
    return table["dicom_id"].map(splits.replace("validate", "val")).fillna("")


def _labels(path: Path) -> pd.DataFrame:
    table = read_table(path, {"subject_id", "study_id"})
    findings = [column for column in table.columns if column not in ("subject_id", "study_id")]
    label = join_labels(table, findings, "1.0")  # -1.0 is uncertain, 0.0 is denied
    return table[["subject_id", "study_id"]].assign(label=label).drop_duplicates(["subject_id", "study_id"])


MIMIC_CXR = DatasetInfo(
    name="mimic-cxr",
    reader=read_mimic_cxr,
    expects="files/p1*/p*/s*/*.jpg or *.dcm, and mimic-cxr-2.0.0-metadata.csv.gz or cxr-record-list.csv.gz",
    identity="patient (subject_id)",
    splits="official; by a hash of the patient without mimic-cxr-2.0.0-split.csv.gz",
    terms="MIMIC-CXR: PhysioNet credentialed health data license, no sharing",
    url="https://physionet.org/content/mimic-cxr-jpg/",
)
