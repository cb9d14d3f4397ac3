"""What a run writes down about itself: its recipe, its pictures, what its detectors were trained on."""

import hashlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.detectors.registry import find_detector
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.files import read_json, write_json
from lcmem.pictures.hints import identity_advice
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.tables import COLUMNS
from lcmem.training.recipe import Recipe
from lcmem.training.settings import Settings

LOG = logging.getLogger(__name__)
RECIPE, RECORD, MANIFEST = "recipe.toml", "run.json", "manifest.csv"
USED = ("train", "val")
"""The splits that a run sees; it never sees the other one."""
LISTED = 20
"""Pictures that cannot be used, named one by one."""
WAY_OUT = "choose another --out, or delete this folder"


def claim(folder: Path, recipe: Settings, manifest: Manifest) -> None:
    """Write down what the run is, or check that the folder's run is this one.

    Args:
        folder: The run's.
        recipe: All settings.
        manifest: All pictures.

    Raises:
        LCMemError: It is another one.
    """
    rows = manifest.table.loc[manifest.table["split"].isin(USED), COLUMNS].drop(columns="path")
    listed = hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()  # wherever the files are now
    record: dict[str, Any] = {"recipe": recipe.to_dict(), "pictures": len(rows), "manifest_sha256": listed}
    path = folder / RECORD
    if path.is_file():
        _check_same(read_json(path), record, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)
    recipe.write(folder / RECIPE)
    manifest.write(folder / MANIFEST)
    write_json(record, path)


def claim_contents(folder: Path, manifest: Manifest, keys: np.ndarray) -> None:
    """Write down what a claimed run's pictures show, or check that they still do.

    Args:
        folder: The run's.
        manifest: The N pictures of the splits that it sees, those that can be used.
        keys: Content hash of each, ``[N]``.

    Raises:
        LCMemError: They show something else.

    Warns:
        LCMemWarning: Pictures to validate on are files that are trained on.
    """
    rows = zip(keys, manifest.table["identity"], manifest.table["split"], strict=True)
    digest = hashlib.sha256("\n".join(sorted(map(repr, rows))).encode()).hexdigest()
    record = read_json(folder / RECORD)
    if "contents_sha256" not in record:
        write_json(record | {"contents_sha256": digest}, folder / RECORD)
    elif record["contents_sha256"] != digest:
        raise LCMemError(f"{folder}: holds a run on other pictures: some files have changed or are gone; {WAY_OUT}")
    splits = manifest.table["split"].to_numpy()
    both = pd.Series(keys).isin(set(keys[splits == "train"])).to_numpy() & (splits == "val")
    if both.any():
        text = f"{both.sum()} pictures of val are files of train as well, for example {manifest.paths[both.argmax()]}"
        warnings.warn(f"{text}: what they say of the training is too good", LCMemWarning, stacklevel=3)


def check_splits(manifest: Manifest, divide: bool = True) -> Manifest:
    """A manifest that a run can use; what is not used, and what is not known, is warned of.

    Args:
        manifest: The pictures.
        divide: Whether the identities of one without any split are divided.

    Raises:
        LCMemError: An identity in two splits, or a missing split.
    """
    manifest.check_disjoint()
    bare = int((manifest.table["split"] == "").sum())
    if divide and bare == len(manifest):
        manifest, bare = manifest.with_splits(), 0
    for split in USED:
        manifest.select(split=split)
    if bare:
        warnings.warn(f"{bare} pictures have no split and are not used", LCMemWarning, stacklevel=3)
    if not manifest.labelled:
        warnings.warn(identity_advice(manifest), LCMemWarning, stacklevel=3)
    LOG.info(manifest.counts)
    return manifest


def warn_of_skipped(reasons: list[str], record: Path) -> None:
    """Say which pictures cannot be used, or the first of them and where all stand."""
    for reason in reasons[:LISTED]:
        warnings.warn(f"skipped: {reason}", LCMemWarning, stacklevel=3)
    if len(reasons) > LISTED:
        warnings.warn(f"and {len(reasons) - LISTED} more, see {record}", LCMemWarning, stacklevel=3)


def training_data(manifest: Manifest) -> list[dict[str, Any]]:
    """Pictures and identities of each dataset, with the terms where the manifest has a column ``terms``."""
    rows = []
    for name, part in manifest.table.groupby("dataset"):
        known = part["identity"][part["identity"] != ""]
        row = {"dataset": name, "pictures": len(part), "identities": int(known.nunique())}
        if "terms" in part:
            row["terms"] = "; ".join(sorted(set(part["terms"].astype(str))))
        rows.append(row)
    return rows


def origins(recipe: Recipe, *, new: bool) -> dict[str, Any]:
    """What a stage's record says of public weights that went into it, with their licences.

    Args:
        recipe: Its ``network.pretrained`` and ``teachers``.
        new: Whether the network was new: later stages begin with the weights of an earlier one.
    """
    teachers = [
        {"name": name, **_public(teacher.detector), "datasets": teacher.datasets}
        for name, teacher in recipe.teachers.items()
    ]
    pretrained = _public(recipe.network.pretrained) if new and recipe.network.pretrained else None
    return ({"pretrained": pretrained} if pretrained else {}) | ({"teachers": teachers} if teachers else {})


def _public(source: str) -> dict[str, str]:
    entry = find_detector(source)
    return {"weights": source} | ({} if entry is None else {"source": entry.source, "licence": entry.licence})


def _check_same(found: dict[str, Any], record: dict[str, Any], folder: Path) -> None:
    there, here = _flat(found["recipe"]), _flat(record["recipe"])
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            difference = f"{key} is {there.get(key)} there and {here.get(key)} here"
            raise LCMemError(f"{folder}: holds a run of another recipe ({difference}); {WAY_OUT}")
    if found["manifest_sha256"] != record["manifest_sha256"]:
        raise LCMemError(f"{folder}: holds a run on other pictures, identities or splits; {WAY_OUT}")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under their keys with dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
