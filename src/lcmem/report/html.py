"""The self-contained HTML report: it opens without a network and carries its pictures inside."""

import base64
import io
import os
from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment
from PIL import Image

from lcmem.errors import PictureError
from lcmem.pictures.image import load_picture
from lcmem.report.plots import score_distributions

if TYPE_CHECKING:
    from lcmem.jobs.audit_result import AuditResult

MATCHES_SHOWN, NEAR_SHOWN, ROWS_SHOWN = 48, 12, 200
THUMBNAIL = 160
"""Longer side in pixels."""


def render(result: "AuditResult") -> str:
    """The report as one HTML page."""
    template = files("lcmem.report").joinpath("report.html.jinja").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    root = _common_folder([*result.matches["synthetic"], *result.matches["real"], *result.twins["path"]])
    below = result.kept.sort_values("logit", ascending=False, kind="stable")
    return page.render(
        s=result.summary,
        plot=score_distributions(result),
        matches=[_pair(row, root) for row in _rows(result.rejected.head(MATCHES_SHOWN))],
        near=[_pair(row, root) for row in _rows(below.head(NEAR_SHOWN))],
        copy_rule=result.copy_rule,
        twins=[_named(row, ("path", "other"), root) for row in _rows(result.twins.head(ROWS_SHOWN))],
        skipped=_rows(result.skipped.head(ROWS_SHOWN)),
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.to_dict("records")


def _common_folder(paths: list[str]) -> str:
    """The folder that all sets lie in: the report names pictures from there, not by folders of a machine."""
    folders = {os.path.dirname(path) for path in paths}
    return os.path.commonpath(folders) if all(map(os.path.isabs, folders)) else ""


def _named(row: dict[str, Any], columns: Iterable[str], root: str) -> dict[str, Any]:
    return row | {name: os.path.relpath(row[name], root) if root else row[name] for name in columns}


def _pair(row: dict[str, Any], root: str) -> dict[str, Any]:
    uris = {"synthetic_uri": _thumbnail(row["path"]), "real_uri": _thumbnail(row["real"])}
    return _named(row, ("path", "real"), root) | uris


def _thumbnail(path: str) -> str:
    """A small JPEG as a data URI; an empty string if the picture has gone since."""
    try:
        planes = load_picture(path)
    except PictureError:
        return ""
    picture = Image.fromarray((planes.transpose(1, 2, 0) * 255).round().astype(np.uint8))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
