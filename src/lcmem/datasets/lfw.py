"""Labeled Faces in the Wild."""

from pathlib import Path

import pandas as pd

from lcmem.datasets.assembly import assemble
from lcmem.datasets.layout import DatasetInfo, find_table, index_pictures, wrong_layout
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_splits


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


def read_lfw_pairs(path: Path) -> pd.DataFrame:
    """An official list of pairs: ``pairs.txt`` (view 2, 10 folds), ``pairsDevTest.txt`` or ``pairsDevTrain.txt``.

    The first line holds the folds (if there are several) and the pairs of each kind in one; then ``name 1 2`` are two
    pictures of one person, ``name 1 other 2`` pictures of two.

    Returns:
        ``path_a, path_b, same, fold`` with paths as ``Some_Name/Some_Name_0001.jpg``.

    Raises:
        LCMemError: Another format, or fewer or more lines than the first one says.
    """
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    head = lines.pop(0) if lines else []
    if not 1 <= len(head) <= 2 or not all(cell.isdigit() for cell in head):
        raise LCMemError(f"{path}: the first line of a list of LFW pairs holds the folds and the pairs of each")
    folds, each = (int(head[0]) if len(head) == 2 else 1), int(head[-1])
    if len(lines) != 2 * folds * each:
        raise LCMemError(f"{path}: {len(lines)} pairs, but its first line says {folds} × (2 × {each})")
    rows = []
    for number, cells in enumerate(lines):
        same = len(cells) == 3
        if len(cells) not in (3, 4) or not cells[1].isdigit() or not cells[-1].isdigit():
            raise LCMemError(f"{path}: not a pair of pictures: {' '.join(cells)!r}")
        first, second = (cells[0], cells[1]), (cells[0 if same else 2], cells[-1])
        rows.append((_file(*first), _file(*second), same, number // (2 * each)))
    return pd.DataFrame(rows, columns=["path_a", "path_b", "same", "fold"])


def _file(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"


LFW = DatasetInfo(
    name="lfw",
    reader=read_lfw,
    expects="lfw/Some_Name/Some_Name_0001.jpg, …; peopleDevTest.txt or pairsDevTest.txt if there",
    identity="person",
    splits="official view 1 for test; val by a hash of the person",
    terms="LFW: research, photos of public figures from news",
    url="https://vis-www.cs.umass.edu/lfw/",
)
