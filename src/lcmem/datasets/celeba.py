"""CelebA: aligned faces with identities, official splits and 40 attributes."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble, join_labels, without_suffix
from lcmem.datasets.layout import DatasetInfo, find_table, index_pictures, require_table
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest

SPLITS = {"0": "train", "1": "val", "2": "test"}


def read_celeba(root: Path) -> Manifest:
    """Read CelebA; ``label`` joins the attributes that a face has, if ``list_attr_celeba.txt`` is there.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    identities = _pairs(require_table(root, CELEBA, "identity_CelebA.txt"), "identity")
    splits = _pairs(require_table(root, CELEBA, "list_eval_partition.txt"), "split")
    table = identities.merge(splits, on="file")
    table["identity"] = "celeba_" + table["identity"]
    table["split"] = table["split"].map(SPLITS).fillna("")
    attributes = find_table(root, "list_attr_celeba.txt")
    if attributes is not None:
        table = table.merge(_labels(attributes), on="file", how="left").fillna("")
    # the folder of the uncropped photos, img_celeba, holds the same file names
    return assemble(table, index_pictures(root, within="img_align_celeba"), root, CELEBA)


def _pairs(path: Path, column: str) -> pd.DataFrame:
    table = read_table(path, sep=r"\s+", header=None, names=["file", column])
    return table.assign(file=without_suffix(table["file"]))


def _labels(path: Path) -> pd.DataFrame:
    table = read_table(path, sep=r"\s+", skiprows=1)  # the first line counts, the second names 40 of 41 columns
    labels = pd.DataFrame({"label": join_labels(table, list(table.columns), "1")})
    labels["file"] = without_suffix(table.index.to_series().astype(str)).to_numpy()
    return labels


CELEBA = DatasetInfo(
    name="celeba",
    reader=read_celeba,
    expects="img_align_celeba/*.jpg (or img_align_celeba.zip), identity_CelebA.txt and list_eval_partition.txt, "
    "in the folder itself or in Img, Anno and Eval",
    identity="person",
    splits="official",
    terms="CelebA: non-commercial research only",
    url="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
)
