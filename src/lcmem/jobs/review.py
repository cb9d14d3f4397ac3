"""``lcmem review``: the pairs of an audit of any size in this machine's browser, and marks that are kept at once."""

import json
import secrets
import threading
from collections.abc import Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError, PictureError
from lcmem.jobs.audit_result import AuditResult
from lcmem.jobs.marks import FILE, MARKS, Review, read_marks, review, write_marks
from lcmem.matching.verdicts import NO_MATCH
from lcmem.report.card import report_id
from lcmem.report.embedded import jpeg
from lcmem.report.html import page
from lcmem.report.pairs import PATHS, as_columns, pair_table

HOST = "127.0.0.1"
SIDE, KEPT, MOST = 768, 256, 100
"""Longer side in pixels of pictures, how many are kept in memory, and how many pairs are given at once."""
LONGEST = 10_000
"""Bytes of a request with a mark."""
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

    Raises:
        LCMemError: It is none, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.result = AuditResult.load(folder)
        self.pairs = pair_table(self.result)
        self.marks = read_marks(folder / FILE) if (folder / FILE).is_file() else {}
        self.changed = False
        self.token = secrets.token_urlsafe(32)
        self.lock = threading.Lock()
        self.searched = self.pairs["synthetic"].str.cat([self.pairs["real"], self.pairs["identity"]], "\n").str.lower()
        self.picture = lru_cache(KEPT)(self._picture)

    def page(self) -> str:
        """The page that asks for pairs."""
        identities = sorted(set(self.pairs["identity"]) - {""})[:1000]
        data = {
            "id": report_id(self.result.summary),
            "unit": self.result.about.get("score", "logit"),
            "marks": self.marks,
            "identities": identities,
            "token": self.token,
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
        if query.get("identity"):
            wanted &= self.pairs["identity"] == query["identity"]
        return wanted & self.searched.str.contains(text.lower(), regex=False) if text else wanted

    def mark(self, index: int, mark: str) -> None:
        """Set a mark, or take it away with "", and keep it in the audit's folder.

        Raises:
            LCMemError: No such pair, or no such mark.
        """
        if not 0 <= index < len(self.pairs) or mark not in ("", *MARKS):
            raise LCMemError("no such pair or mark")
        name = self.pairs["synthetic"].iloc[index]
        with self.lock:
            self.marks = {known: said for known, said in self.marks.items() if known != name} | (
                {name: mark} if mark else {}
            )
            write_marks(self.marks, self.pairs, self.folder / FILE)
            self.changed = True

    def _picture(self, index: int, side: str) -> bytes:
        """A picture as JPEG; only those of the audit can be asked for.

        Raises:
            LookupError: There is none.
            PictureError: It cannot be opened.
        """
        return jpeg(self.pairs[f"{side}_path"].iloc[index], SIDE)


class ReviewServer(ThreadingHTTPServer):
    """Serves a gallery to this machine alone.

    Args:
        gallery: What to serve.
        port: Where to listen; 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, gallery: Gallery, port: int) -> None:
        self.gallery = gallery
        super().__init__((HOST, port), _Handler)

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer

    def do_GET(self) -> None:
        if self._from_here():
            self._answer(self._get)

    def do_POST(self) -> None:
        token = self.headers.get("X-Token", "")
        if self._from_here() and self._allowed(
            secrets.compare_digest(token.encode(), self.server.gallery.token.encode())
        ):
            self._answer(self._post)

    def _from_here(self) -> bool:
        """Whether the browser asks for this very address: another site's name that leads here is refused."""
        hosts = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        known = origin is None or origin in {f"http://{host}" for host in hosts}
        return self._allowed(self.headers.get("Host") in hosts and known)

    def _allowed(self, allowed: bool) -> bool:
        if not allowed:
            self._send(403, "text/plain", b"not allowed")
        return allowed

    def _answer(self, make: Any) -> None:
        try:
            self._send(200, *make())
        except (LookupError, ValueError, LCMemError) as error:
            missing = isinstance(error, LookupError | PictureError)
            self._send(404 if missing else 400, "text/plain", b"not here" if missing else str(error).encode())

    def _get(self) -> tuple[str, bytes]:
        gallery, (_, _, path, query, _) = self.server.gallery, urlsplit(self.path)
        if path == "/":
            return "text/html; charset=utf-8", gallery.page().encode()
        if path == "/pairs":
            return "application/json", json.dumps(gallery.list(dict(parse_qsl(query)))).encode()
        parts = path.split("/")
        if len(parts) == 4 and parts[1] == "picture" and parts[2].isdecimal():
            return "image/jpeg", gallery.picture(int(parts[2]), parts[3])
        raise LookupError(path)

    def _post(self) -> tuple[str, bytes]:
        size = int(self.headers.get("Content-Length", 0))
        if self.path != "/marks" or not 0 < size <= LONGEST:
            raise LookupError(self.path)
        wanted = json.loads(self.rfile.read(size))
        if not isinstance(wanted, dict) or not isinstance(wanted.get("index"), int):
            raise LCMemError("a mark needs an index")
        self.server.gallery.mark(wanted["index"], str(wanted.get("mark", "")))
        return "application/json", b"{}"

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the terminal is for what matters."""
