"""A pack of zip files with one ``manifest.csv``: member paths, identities and splits."""

from pathlib import Path

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.manifest import COLUMNS, Manifest

TERMS = {
    "celeba": "CelebA: non-commercial research only",
    "celeba64": "CelebA: non-commercial research only",
    "lidc": "LIDC-IDRI: CC BY 3.0",
    "ham10000": "HAM10000: CC BY-NC 4.0",
    "nih": "NIH ChestX-ray14: free use with citation of the NIH Clinical Center",
    "nih64": "NIH ChestX-ray14: free use with citation of the NIH Clinical Center",
    "ieee_cxr": "COVID-19 image data collection: per image, all allow adaptation",
    "tiny_imagenet": "ImageNet: non-commercial research and education",
    "imagenet1000": "ImageNet: non-commercial research and education",
}


def read_open_pack(root: Path) -> Manifest:
    """Read ``root/manifest.csv`` (columns dataset, path, identity, split, group); members lie in ``<dataset>.zip``.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    index = root / "manifest.csv"
    if not index.is_file():
        raise LCMemError(f"{root}: expected manifest.csv and one zip file for each dataset")
    table = pd.read_csv(index, dtype=str).fillna("")
    missing = {"dataset", "path", "identity", "split"} - set(table.columns)
    if missing:
        raise LCMemError(f"{index}: no column {sorted(missing)[0]!r}")
    absent = [name for name in table["dataset"].unique() if not (root / f"{name}.zip").is_file()]
    if absent:
        raise LCMemError(f"{root}: {absent[0]}.zip is listed in manifest.csv but not there")
    table["path"] = [
        f"{(root / name).absolute()}.zip/{path}" for name, path in zip(table["dataset"], table["path"], strict=True)
    ]
    table["terms"] = table["dataset"].map(TERMS).fillna("unknown")
    extra = [column for column in ("label", "group") if column in table]
    return Manifest(table[[*COLUMNS, "terms", *extra]])
