"""Files that are either whole or not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Write a file so that nobody ever reads half of it.

    Args:
        target: The file to write or to replace.

    Yields:
        A temporary path beside it. It takes the target's place when the block ends, and is deleted when it fails.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        yield partial
        partial.replace(target)
    except BaseException:  # an interrupted write leaves as little behind as a failed one
        partial.unlink(missing_ok=True)
        raise
