"""An audit that can be handed on: hashes in place of every name, no picture, nothing that leads to one."""

import hashlib
import hmac
import re
import shutil
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import read_json
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.risk import Risk
from lcmem.jobs.output import HIDDEN, MARK
from lcmem.matching.feature_set import FeatureSet
from lcmem.store.index import INDEX

DIGITS = 16
"""Hexadecimal digits of a hash in tables."""
NAMES = {"synthetic", "real", "path", "other", "identity", "other_identity", "dataset", "value"}
"""Columns that may name a picture, an identity or a folder, where they hold text."""
GROUPS = ("sex", "gender", "age", "race", "ethnicity", "split", "view", "modality", "label", "class", "finding")
"""Columns of groups whose values stay: what another one is called, such as a name or a ward, is nobody's to read."""
KEPT_BACK = "kept back in a private report"


def check_private(folder: Path) -> None:
    """Refuse a folder where an open audit lies, or what one left that was stopped, since some of its files would stay.

    Raises:
        LCMemError: There is one.
    """
    summary = folder / "summary.json"
    finished = summary.is_file() and not read_json(summary).get("private")
    made = read_json(folder / MARK).get("audit", {}) if (folder / MARK).is_file() else {}
    begun = any(not place.startswith(HIDDEN) for place in made.values())
    if finished or begun or (folder / "pictures").exists() or (folder / "features" / INDEX).is_file():
        raise LCMemError(f"{folder}: holds an audit with names and pictures; choose another folder with --out")


def without_names(result: AuditResult, sets: Mapping[str, FeatureSet]) -> AuditResult:
    """The same audit without names.

    A picture is named by the first digits of the sha256 of its file, so that who has the file finds it. An identity is
    named by a hash that depends on the contents of all real pictures, so that nobody without these can try out names.
    Datasets are numbered, from that with the most real pictures on.

    Args:
        result: An audit.
        sets: Its pictures by the name of their set.
    """
    named = _Names(sets)
    tables = {name: named.hide(getattr(result, name)) for name in ("matches", "twins", "strangers")}
    skipped = result.skipped.assign(path=result.skipped["path"].map(named.secret), reason=KEPT_BACK)
    risk = Risk(*(named.hide(getattr(result.risk, each.name)) for each in fields(Risk))) if result.risk else None
    about = {name: value for name, value in result.about.items() if name != "command"}
    rows = [row | {"dataset": named.dataset(row["dataset"])} for row in about["by_dataset"]]
    about["by_dataset"] = sorted(rows, key=lambda row: (len(row["dataset"]), row["dataset"]))  # not by hidden names
    levels = {named.dataset(kind): level for kind, level in result.calibration.by_kind.items()}
    calibration = replace(result.calibration, by_kind=levels)
    return replace(
        result,
        **tables,
        calibration=calibration,
        skipped=skipped,
        risk=risk,
        evidence=[],
        about=about | {"private": True, "warnings": []},
    )


def leave_no_features(folder: Path) -> None:
    """Take away what an audit keeps while it runs: the features of pictures, by hashes of their files."""
    shutil.rmtree(folder / "features", ignore_errors=True)


class _Names:
    """Hashes of pictures and identities."""

    def __init__(self, sets: Mapping[str, FeatureSet]) -> None:
        keys = sorted(key for name, found in sets.items() if name != "synthetic" for key in found.keys)
        self.key = hashlib.sha256("\n".join(["identities", *keys]).encode()).digest()
        self.pictures = {
            path: _picture(key)
            for found in sets.values()
            for path, key in zip(found.manifest.paths, found.keys, strict=True)
        }
        sizes = sets["real"].manifest.table["dataset"].value_counts()
        by_size = sorted(sizes.index, key=lambda kind: (-sizes[kind], self.secret(kind)))
        numbered = {kind: kind and f"dataset {number}" for number, kind in enumerate(by_size, 1)}
        self.datasets = (
            {kind: kind for kind in by_size} if sets["real"].told_apart else numbered
        )  # then numbers already
        self.people = {who for found in sets.values() for who in found.manifest.table["identity"]} - {""}

    def secret(self, name: str) -> str:
        """A hash that cannot be found by trying out names."""
        return hmac.new(self.key, name.encode(), hashlib.sha256).hexdigest()[:DIGITS]

    def hide(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table without names."""
        texts = [name for name in table if name in NAMES and not pd.api.types.is_numeric_dtype(table[name])]
        hidden = {name: table[name].map(self.dataset if name == "dataset" else self.plain) for name in texts}
        if "value" in hidden:
            groups = table["column"].str.lower().isin(GROUPS) & ~table["value"].isin({*self.people, *self.datasets})
            hidden["value"] = table["value"].where(groups, hidden["value"])
            hidden["value"] = hidden["value"].mask(table["column"] == "dataset", table["value"].map(self.dataset))
        return table.assign(**hidden)

    def dataset(self, name: str) -> str:
        """The number of a dataset of the real set; of one that only a calibration knows, a hash."""
        return self.datasets.get(name) or (name and self.secret(name))

    def plain(self, name: str) -> str:
        """The hash of a picture's content, or of any other name; nothing of none."""
        return self.pictures.get(name) or (name and self.secret(name))


def _picture(key: str) -> str:
    """``sha256:`` and the first digits, with the slice where the picture is one; of a picture that has gone, a hash."""
    found = re.match(r"[0-9a-f]{64}(.*)", key, re.DOTALL)
    digest, rest = (key, found[1]) if found else (hashlib.sha256(key.encode()).hexdigest(), "")
    return f"sha256:{digest[:DIGITS]}{rest}"
