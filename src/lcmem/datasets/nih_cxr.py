"""NIH ChestX-ray14 and its long-tailed version NIH-CXR-LT (Holste et al., 2022)."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble, join_labels, without_suffix
from lcmem.datasets.layout import DatasetInfo, index_pictures, require_table
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_splits


def read_nih_cxr(root: Path) -> Manifest:
    """Read ChestX-ray14: ``label`` joins findings, ``group`` is the follow-up number, ``view`` PA or AP.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    path = require_table(root, NIH_CXR, "Data_Entry_2017*.csv")
    entries = read_table(path, {"Image Index", "Finding Labels", "Patient ID"})
    table = pd.DataFrame({"file": without_suffix(entries["Image Index"])})
    table["identity"] = "nih_" + entries["Patient ID"].str.zfill(8)
    table["split"] = _splits(root, table)
    table["label"] = entries["Finding Labels"]
    for column, source in (("group", "Follow-up #"), ("view", "View Position")):
        if source in entries:
            table[column] = entries[source]
    return assemble(table, index_pictures(root), root, NIH_CXR)


def _splits(root: Path, table: pd.DataFrame) -> pd.Series:
    listed = {}
    for name in ("train_val", "test"):
        path = require_table(root, NIH_CXR, f"{name}_list.txt")
        listed[name] = set(without_suffix(pd.Series(path.read_text(encoding="utf-8").split(), dtype=str)))
    splits = hash_splits(table["identity"], val=0.1, test=0)
    splits = splits.where(table["file"].isin(listed["train_val"]), "")
    return splits.mask(table["file"].isin(listed["test"]), "test")


def read_nih_cxr_lt(root: Path) -> Manifest:
    """Read NIH-CXR-LT, one ``label`` out of 20 for each picture.

    The balanced test set is part of the test set and is used only where that is missing.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    parts = []
    for split, endings in {"train": ["train"], "val": ["balanced?val"], "test": ["test", "balanced?test"]}.items():
        path = require_table(root, NIH_CXR_LT, *(f"nih-cxr-lt_single-label_{ending}.csv" for ending in endings))
        part = read_table(path, {"id", "subject_id"})
        labels = [column for column in part.columns if column not in ("id", "subject_id")]
        identity = "nih_" + part["subject_id"].str.zfill(8)
        label = join_labels(part, labels, "1")
        parts.append(
            pd.DataFrame({"file": without_suffix(part["id"]), "identity": identity, "split": split, "label": label})
        )
    table = pd.concat(parts, ignore_index=True).drop_duplicates("file")
    return assemble(table, index_pictures(root), root, NIH_CXR_LT)


TERMS = "NIH ChestX-ray14: free use with citation of the NIH Clinical Center"
URL = "https://nihcc.app.box.com/v/ChestXray-NIHCC"
NIH_CXR = DatasetInfo(
    name="nih-cxr",
    reader=read_nih_cxr,
    expects="images*/…/*.png (or images_*.zip), Data_Entry_2017*.csv, train_val_list.txt and test_list.txt",
    identity="patient",
    splits="official test; val is a tenth of the train_val patients, by a hash",
    terms=TERMS,
    url=URL,
)
NIH_CXR_LT = DatasetInfo(
    name="nih-cxr-lt",
    reader=read_nih_cxr_lt,
    expects="images*/…/*.png and nih-cxr-lt_single-label_train.csv, …_balanced-val.csv and …_test.csv",
    identity="patient",
    splits="official",
    terms=TERMS,
    url=URL + " (folder LongTailCXR)",
)
