"""A pack of zip files with one ``manifest.csv``: member paths, identities and splits."""

from pathlib import Path

from lcmem.datasets.layout import DatasetInfo, require_table
from lcmem.errors import LCMemError
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.tables import COLUMNS

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
    index = require_table(root, OPEN_PACK, "manifest.csv")
    names = read_table(index, {"dataset", "path", "identity", "split"})["dataset"].unique()
    absent = [name for name in names if not (index.parent / f"{name}.zip").is_file()]
    if absent:
        raise LCMemError(f"{index.parent}: {absent[0]}.zip is listed in manifest.csv but not there")
    table = Manifest.read(index).table.fillna("")
    extra = [column for column in ("label", "group") if column in table]
    manifest = Manifest(table.assign(terms=table["dataset"].map(TERMS).fillna("unknown"))[[*COLUMNS, "terms", *extra]])
    manifest.check_disjoint()
    return manifest


OPEN_PACK = DatasetInfo(
    name="open-pack",
    reader=read_open_pack,
    expects="manifest.csv (columns dataset, path, identity, split, group) and one zip file for each dataset",
    identity="as the column says",
    splits="as the column says",
    terms="of each dataset in it",
    url="see src/lcmem/datasets/open_pack.py",
)
