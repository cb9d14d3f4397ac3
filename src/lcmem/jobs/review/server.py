"""``lcmem review``: the pairs of an audit of any size in this machine's browser, and marks that are kept at once."""

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lcmem.errors import LCMemError, PictureError
from lcmem.jobs.review.gallery import Gallery

HOST = "127.0.0.1"
LONGEST = 10_000
"""Bytes of a request with a mark."""


class ReviewServer(ThreadingHTTPServer):
    """Serves a gallery to this machine alone.

    Args:
        gallery: What to serve.
        port: Where to listen; 0 takes a free one.

    Raises:
        LCMemError: The port is taken.
    """

    daemon_threads = True

    def __init__(self, gallery: Gallery, port: int) -> None:
        self.gallery = gallery
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise LCMemError(f"port {port}: {error.strerror}; leave --port out to take a free one") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle of an answer is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

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
        if self._from_here() and self._allowed(self._of_the_page()):
            self._answer(self._post)

    def _of_the_page(self) -> bool:
        """Whether the page itself asks, not another one that has the browser ask."""
        token = self.headers.get("X-Token", "")
        return secrets.compare_digest(token.encode(), self.server.gallery.token.encode())

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
        except (LookupError, ValueError, RecursionError, LCMemError) as error:
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
        if len(parts) == 3 and parts[1] == "map" and parts[2].isdecimal() and self._of_the_page():
            return "application/json", json.dumps(gallery.map(int(parts[2]))).encode()
        raise LookupError(path)

    def _post(self) -> tuple[str, bytes]:
        size = int(self.headers.get("Content-Length", 0))
        if self.path != "/marks" or not 0 < size <= LONGEST:
            raise LookupError(self.path)
        wanted = json.loads(self.rfile.read(size))
        if not isinstance(wanted, dict) or type(wanted.get("index")) is not int:
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
