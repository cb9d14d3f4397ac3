"""Pictures inside the page: JPEG data URIs, the strongest pairs first, until the page is full."""

import base64
import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from lcmem.errors import PictureError
from lcmem.pictures.image import load_levels

LARGE, SMALL = 512, 256
"""Longer side in pixels of the pictures of the first :data:`LARGE_PAIRS` pairs, and of all others."""
LARGE_PAIRS = 40
ROOM = 15_000_000
"""Letters that all pictures of a page may take."""


class Embedded:
    """Pictures by path, each once.

    Attributes:
        uris: JPEG data URIs; "" for a picture that has gone.
        room: Letters that are left.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.uris: list[str] = []
        self.room = room
        self._places: dict[str, int] = {}

    def place(self, path: str, side: int) -> int:
        """Number of a picture in :attr:`uris`; −1 once the page is full."""
        if path not in self._places:
            if self.room <= 0:
                return -1
            self._places[path] = len(self.uris)
            self.uris.append(data_uri(path, side))
            self.room -= len(self.uris[-1])
        return self._places[path]

    def pairs(self, paths: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        """Numbers of both pictures of each pair, in order."""
        numbers = []
        for at, (one, two) in enumerate(paths):
            side = LARGE if at < LARGE_PAIRS else SMALL
            numbers.append((self.place(one, side), self.place(two, side)))
        return numbers


def data_uri(path: str, side: int) -> str:
    """A picture as a JPEG data URI, its longer side at most ``side`` pixels; "" if it cannot be opened."""
    try:
        return "data:image/jpeg;base64," + base64.b64encode(jpeg(path, side)).decode()
    except PictureError:
        return ""


def jpeg(path: str, side: int) -> bytes:
    """A picture as JPEG, its longer side at most ``side`` pixels.

    Raises:
        PictureError: It cannot be opened.
    """
    levels = load_levels(path)
    grey = bool((levels == levels[:1]).all())
    picture = Image.fromarray(levels[0] if grey else np.ascontiguousarray(levels.transpose(1, 2, 0)))
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
