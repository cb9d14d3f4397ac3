"""The table behind the gallery: each synthetic picture with its best match, by names that tell no folder."""

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcmem.files import common_folder
from lcmem.matching.verdicts import CLOSE, COPY

if TYPE_CHECKING:
    from lcmem.jobs.audit.result import AuditResult

COLUMNS = {
    "path": "synthetic", "real": "real", "identity": "identity", "dataset": "dataset", "verdict": "verdict",
    "grade": "grade", "logit": "score", "p_value": "p", "q_value": "q", "found_by": "by",
}  # fmt: skip
"""Columns of :meth:`lcmem.jobs.audit.result.AuditResult.to_frame` and what the gallery calls them."""

PATHS = ["synthetic_path", "real_path"]
"""Further columns of the table: where the pictures lie."""


def pair_table(result: "AuditResult") -> pd.DataFrame:
    """One row for each synthetic picture: copies first, then matches, then close ones, each from the strongest down.

    Returns:
        The columns of :data:`COLUMNS`, and of :data:`PATHS`.
    """
    frame = result.to_frame()
    rank = np.select([frame["verdict"] == COPY, frame["match"], frame["grade"] == CLOSE], [0, 1, 2], 3)
    frame = frame.iloc[np.lexsort((frame["path"], -frame["logit"], rank))].reset_index(drop=True)
    root = root_of(result)
    paths = dict(zip(PATHS, (frame["path"], frame["real"]), strict=True))
    named = {column: [shown_name(path, root) for path in frame[column]] for column in ("path", "real")}
    return frame.assign(**named)[list(COLUMNS)].rename(columns=COLUMNS).assign(**paths)


def root_of(result: "AuditResult") -> str:
    """The folder that all sets lie in: names are shown from there, not by folders of a machine."""
    if result.about.get("private"):
        return ""
    best = result.to_frame()
    columns = [best["path"], best["real"]]
    columns += [table[name] for table in (result.twins, result.strangers) if len(table) for name in ("path", "other")]
    folders = {os.path.dirname(path) for column in columns for path in column.unique()}
    return common_folder(folders) if all(map(os.path.isabs, folders)) else ""


def shown_name(path: str, root: str) -> str:
    """A path as a reader sees it."""
    return path.removeprefix(root).lstrip(os.sep) if root else path


def as_columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """A table as lists that JSON knows: short numbers, null where one is missing."""
    columns = {}
    for name, values in table.items():
        if values.dtype.kind == "f":
            columns[str(name)] = [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
        else:
            columns[str(name)] = values.tolist()
    return columns
