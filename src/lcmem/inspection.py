"""Open every picture once, whole, before a long job."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from lcmem.errors import PictureError
from lcmem.images import load_picture
from lcmem.progress import progress_bar

CHUNK = 64


def inspect_pictures(paths: Sequence[str], *, workers: int | None = None) -> tuple[list[tuple[int, int]], list[str]]:
    """Decode every picture.

    Args:
        paths: The pictures.
        workers: Processes; 0 decodes in this one, None takes one for each core.

    Returns:
        Width and height in pixels of the readable ones, and the reasons for the others.
    """
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    sizes: list[tuple[int, int]] = []
    failures: list[str] = []
    with progress_bar("opening pictures", len(paths)) as advance:
        if workers == 0 or len(chunks) < 2:
            results = map(_inspect, chunks)
            _collect(results, sizes, failures, advance)
        else:
            with ProcessPoolExecutor(workers) as pool:
                _collect(pool.map(_inspect, chunks), sizes, failures, advance)
    return sizes, failures


def _collect(results, sizes, failures, advance):  # type: ignore[no-untyped-def]
    for good, bad in results:
        sizes += good
        failures += bad
        advance(len(good) + len(bad))


def _inspect(paths: Sequence[str]) -> tuple[list[tuple[int, int]], list[str]]:
    sizes, failures = [], []
    for path in paths:
        try:
            planes = load_picture(path)
            sizes.append((planes.shape[2], planes.shape[1]))
        except PictureError as error:
            failures.append(str(error))
    return sizes, failures
