"""Filling a store: only pictures whose content it does not hold yet are encoded."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table
from lcmem.pictures.paths import file_stamp
from lcmem.progress import progress_bar
from lcmem.store.shards import Writer
from lcmem.store.store import Store


class Encoded(NamedTuple):
    """What became of some of the pictures that were to be encoded.

    Attributes:
        at: Positions ``[n]`` in the list of paths.
        rows: Their rows ``[n, …]``.
        failures: Position and reason for each picture that could not be read.
    """

    at: Sequence[int]
    rows: np.ndarray
    failures: list[tuple[int, str]]


@dataclass(frozen=True)
class Filled:
    """What was done.

    Attributes:
        contents: ``path, stamp, sha256, reason`` of every picture, in order; those with a reason could not be read.
        encoded: Pictures that were encoded; the rows of the others were there already.
        seconds: What all this took.
    """

    contents: pd.DataFrame
    encoded: int
    seconds: float

    @property
    def stored(self) -> np.ndarray:
        """Positions of the pictures whose rows are in the store now."""
        return np.flatnonzero(self.contents["reason"] == "")

    @property
    def pictures(self) -> pd.DataFrame:
        """``path, stamp, sha256`` of these."""
        return self.contents.iloc[self.stored][["path", "stamp", "sha256"]].reset_index(drop=True)

    @property
    def keys(self) -> list[str]:
        """Content hashes of these."""
        return list(self.contents["sha256"].iloc[self.stored])

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Path and reason of the others."""
        rows = self.contents[self.contents["reason"] != ""]
        return list(zip(rows["path"], rows["reason"], strict=True))


def fill(
    store: Store,
    paths: list[str],
    encode: Callable[[list[str]], Iterable[Encoded]],
    *,
    title: str = "encoding",
    keys: Sequence[str] | None = None,
) -> Filled:
    """Have every picture's row in the store, encoding each content once.

    A picture whose path and file stamp are those of the index is not even opened. Any other is hashed, and encoded only
    if no picture of the same content is stored. Killed at any time, the same call goes on where it stopped. The index
    is the caller's to write, from what is returned.

    Args:
        store: Where to look first and to store.
        paths: What :func:`lcmem.pictures.image.load_picture` takes.
        encode: Makes the rows of such paths, in any order, in batches; what is lost at most when the run is killed.
        title: Of the progress bar.
        keys: The pictures' content hashes, "" where one is not known; by default those of the index are known.

    Raises:
        LCMemError: A row is not finite, or of another shape than the store's.
    """
    began = time.perf_counter()
    contents = content_table(paths, store.index.known(paths) if keys is None else _known(paths, keys))
    wanted = contents[contents["reason"] == ""].drop_duplicates("sha256")
    missing = wanted[store.find(wanted["sha256"])[:, 0] < 0].reset_index(drop=True)
    failures: dict[str, tuple[str, str]] = {}
    writer = store.writer()
    try:
        with progress_bar(title, len(wanted), done=len(wanted) - len(missing)) as advance:
            for batch in encode(list(missing["path"])) if len(missing) else ():
                _store(batch, missing, store, writer)
                failures |= {missing["sha256"][at]: (missing["path"][at], reason) for at, reason in batch.failures}
                advance(len(batch.at) + len(batch.failures))
    finally:
        store.reload()
    rows = zip(contents["reason"], contents["sha256"], contents["path"], strict=True)
    contents["reason"] = [reason or _reason(path, *failures.get(sha256, ("", ""))) for reason, sha256, path in rows]
    return Filled(contents, len(missing) - len(failures), time.perf_counter() - began)


def _reason(path: str, tried: str, reason: str) -> str:
    """Why a picture cannot be used, of which another file of the same content was tried."""
    return path + reason.removeprefix(tried) if tried and reason.startswith(tried) else reason


def _known(paths: list[str], keys: Sequence[str]) -> dict[tuple[str, str], str]:
    return {(path, file_stamp(path)): key for path, key in zip(paths, keys, strict=True)}


def _store(batch: Encoded, missing: pd.DataFrame, store: Store, writer: Writer) -> None:
    if len(batch.at):
        part = missing.iloc[list(batch.at)]
        check_finite(batch.rows, part["path"], store)
        writer.append(list(part["sha256"]), batch.rows)


def check_finite(rows: np.ndarray, paths: Iterable[str], store: Store) -> None:
    """Rows ``[n, …]`` of these pictures must be numbers.

    Raises:
        LCMemError: One is not.
    """
    finite = np.isfinite(rows.astype(store.card.dtype, copy=False)).reshape(len(rows), -1).all(1)
    if not finite.all():
        path, card = list(paths)[int(finite.argmin())], store.card
        raise LCMemError(
            f"{path}: its {card.words.rows} are not finite, or too large for {card.dtype}; leave the picture out, or "
            f"take another {card.words.maker} than {card.title}"
        )
