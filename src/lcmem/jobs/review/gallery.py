"""The pairs of an audit of any size, page by page, with their pictures, heat maps and marks."""

import secrets
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.jobs.audit.marks import FILE, MARKS, Review, kept_marks, review, write_marks
from lcmem.jobs.audit.result import AuditResult
from lcmem.locks import alone_in
from lcmem.matching.verdicts import NO_MATCH
from lcmem.report.card import report_id
from lcmem.report.embedded import jpeg
from lcmem.report.html import page
from lcmem.report.pairs import PATHS, as_columns, pair_table

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector
    from lcmem.detectors.entry import Options

SIDE, KEPT, MOST = 768, 256, 100
"""Longer side in pixels of pictures, how many pictures and heat maps are kept, and how many pairs are given at once."""
ORDERS = {
    "rank": ([], []), "strongest": (["score"], [False]), "weakest": (["score"], [True]), "q": (["q"], [True]),
    "name": (["synthetic"], [True]), "identity": (["identity"], [True]),
}  # fmt: skip


class Gallery:
    """The pairs of an audit, their pictures and marks.

    Attributes:
        result: The audit.
        pairs: As of :func:`lcmem.report.pairs.pair_table`.
        marks: By the name of the synthetic picture.
        changed: Whether any was set or taken away.
        token: What a request that changes marks must know.

    Args:
        folder: Of the audit.
        model: What makes the heat maps; None takes the audit's, by its name.
        options: How to load it.

    Raises:
        LCMemError: It is none, or damaged.
    """

    def __init__(self, folder: Path, model: str | None = None, options: "Options | None" = None) -> None:
        self.folder, self.model, self.options = folder, model, options
        self.result = AuditResult.load(folder, listed=False)
        self.pairs = pair_table(self.result)
        self.marks = kept_marks(folder, self.pairs)
        self.changed = False
        self.token = secrets.token_urlsafe(32)
        self.lock, self.busy = threading.Lock(), threading.Lock()
        self.searched = self.pairs["synthetic"].str.cat([self.pairs["real"], self.pairs["identity"]], "\n").str.lower()
        self.picture, self.map = lru_cache(KEPT)(self._picture), lru_cache(KEPT)(self._map)
        self.detector = lru_cache(1)(self._detector)

    def page(self) -> str:
        """The page that asks for pairs."""
        identities = sorted(set(self.pairs["identity"]) - {""})[:1000]
        data = {
            "id": report_id(self.result.summary),
            "unit": self.result.about.get("score", "logit"),
            "marks": self.marks,
            "identities": identities,
            "token": self.token,
            "private": bool(self.result.about.get("private")),
        }
        return page(self.result, self.review, "served.js", data, listed=len(self.pairs))

    @property
    def review(self) -> Review | None:
        """What the marks make of the audit; None without marks."""
        return review(self.pairs, self.result.memorization, self.marks) if self.marks else None

    def list(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A part of the pairs that a query wants.

        Raises:
            LCMemError: A number that is none, or an order that there is not.
        """
        try:
            start, count = int(query.get("start", 0)), min(int(query.get("count", MOST)), MOST)
            least = float(query["least"]) if query.get("least") else -np.inf
            columns, upwards = ORDERS[query.get("sort", "rank")]
        except (ValueError, KeyError) as error:
            raise LCMemError(f"a query that cannot be read: {error}") from error
        found = self.pairs[self._wanted(query, least)]
        if columns:
            found = found.sort_values(columns, ascending=upwards, kind="stable")
        part = found.iloc[max(start, 0) : max(start, 0) + max(count, 0)]
        named = as_columns(part.drop(columns=PATHS))
        rows = [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]
        return {
            "total": len(found),
            "rows": [{"index": int(at), **row} for at, row in zip(part.index, rows, strict=True)],
        }

    def _wanted(self, query: Mapping[str, str], least: float) -> pd.Series:
        verdict, mark, text = (query.get(name, "") for name in ("verdict", "mark", "text"))
        wanted = self.pairs["score"] >= least
        if verdict == "match":
            wanted &= self.pairs["verdict"] != NO_MATCH
        elif verdict not in ("", "all"):
            wanted &= self.pairs["grade"] == verdict
        if mark not in ("", "any"):
            wanted &= self.pairs["synthetic"].map(lambda name: self.marks.get(name, "unmarked")) == mark
        for column in ("identity", "dataset"):
            if query.get(column):
                wanted &= self.pairs[column] == query[column]
        return wanted & self.searched.str.contains(text.lower(), regex=False) if text else wanted

    def mark(self, index: int, mark: str) -> None:
        """Set a mark, or take it away with "", and keep it in the audit's folder.

        Raises:
            LCMemError: No such pair, or no such mark; or the folder cannot be written to: then nothing is marked.
        """
        if not 0 <= index < len(self.pairs) or mark not in ("", *MARKS):
            raise LCMemError("no such pair or mark")
        name = self.pairs["synthetic"].iloc[index]
        with self.lock, alone_in(self.folder, f".{FILE}.lock"):
            kept = kept_marks(self.folder, self.pairs)  # another gallery may have marked, too
            others = {known: said for known, said in kept.items() if known != name}
            marks = others | ({name: mark} if mark else {})
            try:
                write_marks(marks, self.pairs, self.folder / FILE)
            except OSError as error:
                raise LCMemError(f"{self.folder / FILE}: cannot be written ({error.strerror})") from error
            self.marks, self.changed = marks, True

    def _picture(self, index: int, side: str) -> bytes:
        """A picture as JPEG; only those of the audit can be asked for.

        Raises:
            LookupError: There is none.
            PictureError: It cannot be opened.
        """
        return jpeg(self.pairs[f"{side}_path"].iloc[index], SIDE)

    def _map(self, index: int) -> dict[str, Any]:
        """Where the evidence of a pair lies, as of :func:`lcmem.jobs.explain.explain_pair`: one pair at a time.

        Raises:
            LookupError: There is no such pair.
            PictureError: One of its pictures cannot be opened.
            LCMemError: The audit's model is not here.
        """
        from lcmem.jobs.explain import explain_pair  # with PyTorch, which pairs and pictures do without

        pair = self.pairs[PATHS].iloc[index]
        with self.busy:
            return explain_pair(self.detector(), *pair)

    def _detector(self) -> "Detector":
        from lcmem.detectors.registry import load_detector

        about = self.result.about
        try:
            detector = load_detector(self.model or about["model"], self.options)
        except LCMemError as error:
            raise LCMemError(f"{error}; name the audit's model with --model") from error
        if detector.fingerprint != about["model_fingerprint"]:
            raise LCMemError(f"{detector.name} is not the model of the audit; name that one with --model")
        return detector
