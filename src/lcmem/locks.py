"""Folders that one command at a time writes to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lcmem.errors import LCMemError

LOCK = ".lock"
"""File by which a process keeps a folder to itself; the system lets go of it when the process is killed."""
PATIENCE = 10.0
"""Seconds to wait for another process: the decoders of one that was killed live a little longer than it does."""


def follows() -> bool:
    """Whether this process was started by the first one of its command, to train on another device."""
    return os.environ.get("LOCAL_RANK", "0") != "0"


@contextmanager
def alone_in(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Keep a folder to this command until the block ends: its first process has it for those that follow it.

    Args:
        folder: It is made where it does not exist.
        name: Of the lock: another one where only a file of the folder is kept.

    Raises:
        LCMemError: Another process, or another part of this one, is at work there.
    """
    from filelock import FileLock, Timeout

    if follows():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:  # an OSError, too
        raise LCMemError(
            f"{folder}: another lcmem command is at work there; wait until it has ended, or choose another folder"
        ) from error
    except OSError as error:
        raise LCMemError(f"{folder}: nothing can be written there ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
