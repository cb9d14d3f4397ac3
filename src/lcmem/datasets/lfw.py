"""Labeled Faces in the Wild."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble, hash_splits
from lcmem.datasets.layout import DatasetInfo, find_table, index_pictures, wrong_layout
from lcmem.manifest import Manifest


def read_lfw(root: Path) -> Manifest:
    """Read LFW, also the funneled or deep-funneled one.

    Test are the people of the official view 1 (``peopleDevTest.txt`` or ``pairsDevTest.txt``); of all others a tenth is
    val. Without these lists, people are split by a hash.

    Raises:
        LCMemError: ``root`` is not laid out like that.
    """
    pictures = index_pictures(root, (".jpg",))
    person = pictures.index.str.extract(r"^(.+)_\d{4}$")[0]
    folder = pictures.str.rsplit("/", n=2).str[-2].reset_index(drop=True)
    table = pd.DataFrame({"file": pictures.index, "identity": person})[person == folder]
    if table.empty:
        raise wrong_layout(root, LFW, "no Some_Name/Some_Name_0001.jpg")
    test = find_table(root, "peopleDevTest.txt", "pairsDevTest.txt")
    table["split"] = hash_splits(table["identity"], test=0.1 if test is None else 0)
    if test is not None:
        table["split"] = table["split"].mask(table["identity"].isin(_names(test)), "test")
    table["identity"] = "lfw_" + table["identity"]
    return assemble(table.sort_values("file"), pictures, root, LFW)


def _names(path: Path) -> set[str]:
    """People of a list: lines are a name and a count, or one or two names and picture numbers, with tabs between."""
    return {cell for cell in path.read_text(encoding="utf-8").split() if not cell.isdigit()}


LFW = DatasetInfo(
    name="lfw",
    reader=read_lfw,
    expects="lfw/Some_Name/Some_Name_0001.jpg, …; peopleDevTest.txt or pairsDevTest.txt if there",
    identity="person",
    splits="official view 1 for test; val by a hash of the person",
    terms="LFW: research, photos of public figures from news",
    url="https://vis-www.cs.umass.edu/lfw/",
)
