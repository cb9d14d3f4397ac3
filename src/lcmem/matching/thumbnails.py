"""Whether two pictures are the same one, seen small: what decides between a copy and a look-alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcmem.errors import PictureError
from lcmem.matching.alignment import correlation
from lcmem.pictures.image import PictureLike, load_levels
from lcmem.pictures.loading import iterate_pictures

SIDE = 64
"""Side of the grey thumbnails, in pixels."""
SAME = 0.98
"""Correlation of two thumbnails of half that side from which they show the same picture, where nothing more is known.
Copies at half the size or at JPEG quality 75 reach 0.999, what a small autoencoder makes of faces, X-rays, skin and CT
slices 0.98 in 95 to 100 % of cases, the most alike strangers among these 0.978 (docs/copies.md)."""
KEPT = 50_000
"""Thumbnails that are kept, four kilobytes each."""
CHUNK = 4096
"""Pairs that are looked at together."""


class Thumbnails:
    """Grey thumbnails by path, decoded once as long as they are among the last :data:`KEPT`.

    Args:
        workers: Decoding processes.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self._known: dict[str, np.ndarray | None] = {}
        self._alone = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which has a lock of its own."""
        return {name: value for name, value in vars(self).items() if name != "_alone"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _alone=Lock())

    def _read(self, paths: Iterable[str]) -> None:
        """Decode pictures that have not been; one that cannot be opened is alike to nothing."""
        wanted = dict.fromkeys(paths)
        new = [path for path in wanted if path not in self._known]
        self._known |= {path: self._known.pop(path, None) for path in wanted}  # the last that will be let go of
        for path in list(self._known)[: max(len(self._known) - KEPT, 0)]:
            del self._known[path]
        for batch in iterate_pictures(new, SIDE, workers=self.workers) if new else ():
            for at, picture in zip(batch.indices, batch.pictures.numpy(), strict=True):
                self._known[new[at]] = grey(picture)

    def forget(self, pictures: Iterable[PictureLike]) -> None:
        """Let go of those of paths among some pictures: what is written there next is another one."""
        with self._alone:
            for picture in pictures:
                if isinstance(picture, str):
                    self._known.pop(picture, None)

    def each(
        self, pictures: Sequence[PictureLike], advance: Callable[[int], object] = lambda count: None
    ) -> list[np.ndarray | None]:
        """Thumbnails of paths, which are kept, or of pictures in memory; None where one cannot be opened.

        Args:
            pictures: Paths, or pictures.
            advance: Is told how many more are done.
        """
        found: list[np.ndarray | None] = []
        for start in range(0, len(pictures), CHUNK):
            part = pictures[start : start + CHUNK]
            with self._alone:  # or another thread lets go of some in between
                self._read(picture for picture in part if isinstance(picture, str))
                found += [self._of(picture) for picture in part]
            advance(len(part))
        return found

    def pairs(
        self, first: Sequence[PictureLike], second: Sequence[str]
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]]:
        """Thumbnails of pairs of pictures that can both be opened, some at a time.

        Args:
            first: Pictures, ``[n]``: paths, which are kept, or pictures in memory.
            second: Paths ``[n]``.

        Yields:
            Positions of m pairs, and both thumbnails of each.
        """
        for start in range(0, len(second), CHUNK):
            pairs = list(zip(first[start : start + CHUNK], second[start : start + CHUNK], strict=True))
            with self._alone:
                self._read(path for pair in pairs for path in pair if isinstance(path, str))
                known = [(at, self._of(one), self._of(two)) for at, (one, two) in enumerate(pairs, start)]
            whole = [(at, one, two) for at, one, two in known if one is not None and two is not None]
            yield (
                np.array([at for at, *_ in whole], dtype=np.int64),
                [one for _, one, _ in whole],
                [two for *_, two in whole],
            )

    def compared(
        self, first: Sequence[PictureLike], second: Sequence[str], by: Callable[[Tensor, Tensor], Tensor] = correlation
    ) -> np.ndarray:
        """How alike pairs as of :meth:`pairs` look ``[n]``, from :data:`SAME` on the same but for small changes; NaN
        where one cannot be opened.

        Args:
            first: As of :meth:`pairs`.
            second: As of that.
            by: Correlations of thumbnails ``[m, SIDE, SIDE]`` with others, such as :func:`correlation`.
        """
        found = np.full(len(second), np.nan)
        for at, *both in self.pairs(first, second):
            if len(at):
                found[at] = by(*(torch.from_numpy(np.stack(each)).float() for each in both)).numpy()
        return found

    def _of(self, picture: PictureLike) -> np.ndarray | None:
        if isinstance(picture, str):
            return self._known[picture]
        try:
            return grey(load_levels(picture, SIDE))
        except PictureError:
            return None


def grey(picture: np.ndarray) -> np.ndarray:
    """A picture ``[3, SIDE, SIDE]`` in grey ``[SIDE, SIDE]``, uint8."""
    found: np.ndarray = picture.mean(0).round().astype(np.uint8)
    return found
