"""CT-RATE with the masks of ReXGroundingCT: slices of chest CT with and without findings (paper, appendix A)."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.datasets.assembly import assemble, much, unite_identities, warn
from lcmem.datasets.layout import DatasetInfo, index_pictures, require_table, wrong_layout
from lcmem.errors import LCMemError, extra
from lcmem.pictures.listing import SPLITS
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.splits import hash_splits
from lcmem.progress import progress_bar

VOLUMES = r"^(?!(.*/)?ts_seg/).*\b(train|valid)"
"""The organ masks that CT-RATE keeps in ``ts_seg`` have the same folders and file names as the volumes."""
READERS = 4
"""Threads that decompress masks, each of up to some hundred megabytes."""


def read_ct_rate(root: Path) -> Manifest:
    """Choose slices by their masks, see :func:`choose_slices`.

    ``label`` joins the category codes of all findings whose mask touches the slice ("" for none, which does not mean
    healthy: the annotation is not exhaustive), ``group`` is the scan. Slices count along the third axis as stored, in
    volumes and masks alike: the affine matrices of the masks are not to be relied on. Volumes of ``train_fixed`` and
    ``valid_fixed`` are preferred: their headers are corrected.

    Of the official splits, test has no public masks, so a tenth of the train patients becomes test, by a hash.

    Raises:
        LCMemError: ``root`` is not laid out like that, or nibabel is missing.
    """
    scans = _scans(require_table(root, CT_RATE, "dataset.json"), root)
    fixed = index_pictures(root, (".gz",), within=VOLUMES + "_fixed/")
    volumes = pd.concat([fixed, index_pictures(root, (".gz",), within=VOLUMES + "/")])
    scans["volume"] = scans["name"].map(volumes[~volumes.index.duplicated()])
    scans["mask"] = scans["name"].map(index_pictures(root, (".gz",), within="segmentations/"))
    present = scans.dropna(subset=["volume", "mask"])
    if present.empty:
        raise wrong_layout(root, CT_RATE, f"none of {len(scans)} listed scans has both a volume and a mask")
    absent = len(scans) - len(present)
    if absent:
        warn(f"{root}: {absent} of {len(scans)} listed scans lack a volume or a mask{much(absent, len(scans))}")
    table = _slices(present, root)
    return assemble(table, pd.Series(table["file"].to_numpy(), index=table["file"]), root, CT_RATE)


def _scans(path: Path, root: Path) -> pd.DataFrame:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [
            (entry["name"].removesuffix(".gz"), split, entry.get("categories") or {})
            for split in SPLITS
            for entry in content.get(split, [])
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise LCMemError(f"{path}: not the dataset.json of ReXGroundingCT ({error!r})") from error
    table = pd.DataFrame(rows, columns=["name", "split", "categories"]).drop_duplicates("name")
    parts = table["name"].str.removesuffix(".nii").str.split("_")  # train_1741_b_2: patient 1741, scan b, volume 2
    table["identity"] = "ctrate_" + parts.str[:2].str.join("_")
    table["group"] = parts.str[:3].str.join("_")
    table["split"] = hash_splits(table["identity"], val=0).where(table["split"] == "train", table["split"])
    return unite_identities(table, root, "scans")


def _slices(scans: pd.DataFrame, root: Path) -> pd.DataFrame:
    rows: list[dict[str, str]] = []
    problems: list[str] = []
    with progress_bar("choosing slices", len(scans)) as advance, ThreadPoolExecutor(READERS) as pool:
        for scan, found in zip(scans.to_dict("records"), pool.map(_read_scan, scans.to_dict("records")), strict=True):
            advance(1)
            if isinstance(found, str):
                problems.append(found)
                continue
            kept = {column: scan[column] for column in ("identity", "split", "group")}
            rows += [
                {"file": f"{scan['volume']}#slice={index}", "label": _label(scan["categories"], findings), **kept}
                for index, findings in found.items()
            ]
    if problems and not rows:
        raise LCMemError(f"{root}: no mask can be used; the first: {problems[0]}")
    if problems:
        warn(f"{root}: {len(problems)} scans are left out, for example {problems[0]}")
    return pd.DataFrame(rows)


def _read_scan(scan: dict[str, Any]) -> dict[int, list[int]] | str:
    with extra("medical", "the masks of CT-RATE need nibabel"):
        import nibabel
    try:
        images: list[Any] = [nibabel.load(scan[kind]) for kind in ("mask", "volume")]
        mask, shape = np.asanyarray(images[0].dataobj), images[1].shape
    except Exception as error:  # nibabel, gzip and zlib raise many kinds on damaged files
        return f"{scan['mask']}: not readable ({error})"
    if mask.ndim != 4 or mask.shape[1:] != shape:
        return f"{scan['mask']}: shape {mask.shape} does not fit the volume's {shape}"
    return choose_slices(mask, scan["name"])


def choose_slices(mask: np.ndarray, name: str) -> dict[int, list[int]]:
    """Choose slices of one scan.

    For each instance of each finding the slice where its mask is largest (the first of several alike), and for each
    slice so chosen another one that no mask touches, as long as there are any. Those are drawn by a hash, not taken
    from nearby: neighbouring slices are nearly copies, and would make the same patient too easy to recognise.

    Args:
        mask: ``[findings, X, Y, slices]``; 0 outside, each other number one instance.
        name: Of the scan, for the hash.

    Returns:
        For each chosen slice the findings that touch it.
    """
    # an array from a NIfTI file is in Fortran order, in which this needs no copy
    flat = mask.ravel(order="F")
    inside = np.flatnonzero(flat)
    finding, _, _, index = np.unravel_index(inside, mask.shape, order="F")
    areas = pd.DataFrame({"finding": finding, "instance": flat[inside], "slice": index}).value_counts().reset_index()
    largest = areas.sort_values(["count", "slice"], ascending=[False, True]).drop_duplicates(["finding", "instance"])
    abnormal = sorted(set(largest["slice"].tolist()))
    free = sorted(set(range(mask.shape[3])) - set(index.tolist()), key=lambda k: _draw(f"{name}#{k}"))
    touching = areas.groupby("slice")["finding"].unique()
    chosen = {k: sorted(touching[k].tolist()) for k in abnormal}
    return chosen | {k: [] for k in sorted(free[: len(abnormal)])}


def _draw(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _label(categories: dict[str, str], findings: list[int]) -> str:
    return "|".join(sorted({str(categories.get(str(finding), finding)) for finding in findings}))


CT_RATE = DatasetInfo(
    name="ct-rate",
    reader=read_ct_rate,
    expects="dataset/train_fixed/train_1/train_1_a/train_1_a_1.nii.gz, … of CT-RATE, and dataset.json and "
    "segmentations/train_1_a_1.nii.gz, … of ReXGroundingCT, in the folder or one below",
    identity="patient",
    splits="official val; test is a tenth of the train patients, by a hash (the official test masks are not public)",
    terms="CT-RATE and ReXGroundingCT: CC BY-NC-SA 4.0",
    url="https://huggingface.co/datasets/ibrahimhamamci/CT-RATE and "
    "https://huggingface.co/datasets/rajpurkarlab/ReXGroundingCT",
)
