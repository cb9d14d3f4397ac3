"""ImageNet-LT: a long-tailed selection of ImageNet, as three lists of files."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble, without_suffix
from lcmem.datasets.layout import DatasetInfo, index_pictures, require_table
from lcmem.files import read_table
from lcmem.pictures.manifest import Manifest


def read_imagenet_lt(root: Path) -> Manifest:
    """Read ImageNet-LT; ``label`` is the WordNet id, ``class`` the number in the lists. There are no identities.

    File names of ImageNet are unique, so it does not matter how its folders are nested, or whether ``val`` is sorted
    into classes.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    parts = []
    for split in ("train", "val", "test"):
        path = require_table(root, IMAGENET_LT, f"ImageNet_LT_{split}.txt")
        part = read_table(path, sep=" ", header=None, names=["listed", "class"])
        parts.append(part.assign(split=split))
    table = pd.concat(parts, ignore_index=True)
    folders = table["listed"].str.split("/")
    table["file"] = without_suffix(folders.str[-1])
    table["label"] = folders.str[-2]
    table["identity"] = ""
    return assemble(table.drop(columns="listed"), index_pictures(root), root, IMAGENET_LT)


IMAGENET_LT = DatasetInfo(
    name="imagenet-lt",
    reader=read_imagenet_lt,
    expects="ImageNet_LT_train.txt, ImageNet_LT_val.txt, ImageNet_LT_test.txt and ImageNet's train/n*/*.JPEG and "
    "val/…/*.JPEG",
    identity="none: every picture stands for itself",
    splits="official",
    terms="ImageNet: non-commercial research and education",
    url="https://image-net.org and https://github.com/zhmiao/OpenLongTailRecognition-OLTR (lists)",
)
