"""Open every picture once, whole, before a long job."""

from collections.abc import Sequence

import numpy as np

from lcmem.errors import PictureError
from lcmem.pictures.loading import decode
from lcmem.progress import progress_bar


def inspect_pictures(paths: Sequence[str], *, workers: int | None = None) -> tuple[list[tuple[int, int]], list[str]]:
    """Decode every picture.

    Args:
        paths: The pictures.
        workers: As of :func:`lcmem.pictures.loading.decode`.

    Returns:
        Width and height in pixels of the readable ones, and the reasons for the others.
    """
    sizes: list[tuple[int, int]] = []
    failures: list[str] = []
    with progress_bar("opening pictures", len(paths)) as advance:
        for batch in decode(paths, _size, list, batch_size=8, workers=workers):
            for _, found in batch:
                if isinstance(found, PictureError):
                    failures.append(str(found))
                else:
                    sizes.append(found)
            advance(len(batch))
    return sizes, failures


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[2], picture.shape[1]
