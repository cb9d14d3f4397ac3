"""What was drawn so far, in memory or in a folder that a killed run goes on from; and what became of it."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isclose
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas.card import is_atlas
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.files import read_json, read_table, write_json, write_picture, write_table
from lcmem.generation.filter import Verdicts
from lcmem.locks import LOCK
from lcmem.matching.verdicts import COPY, NO_MATCH, NOTHING, SAME_IDENTITY
from lcmem.pictures.image import load_levels

TRIES, RUN, SAMPLES = "tries.csv", "run.json", "samples"
GROWING = ("count", "max_tries")
"""Of which a run that goes on may want more than before."""
WORDS = {"detector": "detector", "real": "real set", "against": "choice of real pictures to compare with"}
"""Settings whose values say nothing to people."""
ROUNDING = {"rel_tol": 1e-4, "abs_tol": 1e-5}
"""By so much thresholds differ that are calibrated by other threads or processors."""


@dataclass(frozen=True)
class PrivateSamples:
    """What was drawn, kept and given up.

    Attributes:
        count: Samples that were asked for.
        tries: A row for each sample drawn: ``sample, attempt`` (from 1), ``seed``, and the columns of
            :class:`lcmem.generation.filter.Verdicts`.
        kept: The novel samples by number: pictures ``[3, H, W]`` uint8, or the PNG files that hold them.
    """

    count: int
    tries: pd.DataFrame
    kept: dict[int, np.ndarray | Path]

    @property
    def given_up(self) -> list[int]:
        """Samples of which no try was novel: there is no picture of them."""
        return [number for number in range(self.count) if number not in self.kept]

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        first = self.tries[self.tries["attempt"] == 1]
        return {
            "samples": self.count,
            "kept": len(self.kept),
            "given_up": len(self.given_up),
            "drawn": len(self.tries),
            "drawn_for_each_kept": len(self.tries) / len(self.kept) if self.kept else None,
            "matches_at_first_try": int(first["verdict"].isin([COPY, SAME_IDENTITY]).sum()),
            "showed_nothing": int((self.tries["verdict"] == NOTHING).sum()),
            "most_tries": int(self.tries["attempt"].max()) if len(self.tries) else 0,
        }

    def __str__(self) -> str:
        price = f"{len(self.tries)} drawn for {len(self.kept)} kept of {self.count}"
        lost = self.given_up
        if not lost:
            return price
        shown = ", ".join(map(str, lost[:5])) + (", …" if len(lost) > 5 else "")
        return f"{price}; given up, as no try was novel: {len(lost)} ({shown})"


class TryRecord:
    """The tries and the novel samples so far, in memory or in a folder.

    Pictures are written before the table that names them, so that the table never promises one that is not there. What
    was deleted since is drawn again: that try is forgotten.
    """

    def __init__(self, folder: Path | None, settings: dict[str, Any]) -> None:
        self.folder, self.kept = folder, dict[int, np.ndarray | Path]()
        self.rows: list[pd.DataFrame] = []
        if folder is None:
            return
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        if (folder / RUN).is_file() and (others := _others(settings, read_json(folder / RUN))):
            raise LCMemError(
                f"{folder}: holds another run, with another {', '.join(others)}; choose another folder, or delete this "
                "one"
            )
        write_json(settings, folder / RUN)
        if (folder / TRIES).is_file():
            self._read(folder)

    def _read(self, folder: Path) -> None:
        numbers = {"sample": int, "attempt": int, "seed": int, "logit": float, "probability": float}
        columns = [*numbers, "verdict"]
        table = read_table(folder / TRIES, columns, na_values={"probability": [""]})
        try:
            table = table.astype(numbers)
        except ValueError as error:
            raise LCMemError(f"{folder / TRIES}: damaged ({error}); delete the folder, or choose another") from error
        novel = table["verdict"] == NO_MATCH
        gone = novel & ~table["sample"].map(lambda number: _is_whole(self._file(folder, number))).astype(bool)
        if gone.any():
            _warn_of_deleted(folder, [*table["sample"][gone]])
        self.rows = [table[~gone]]
        self.kept = {number: self._file(folder, number) for number in table["sample"][novel & ~gone]}

    @property
    def way_out(self) -> str:
        """What a user can do after a failure."""
        if self.folder is None:
            return "nothing is kept without a folder to write to (out)"
        return f"what was drawn is in {self.folder}, and the same call goes on there"

    def _file(self, folder: Path, number: int) -> Path:
        return folder / SAMPLES / f"{number:06d}.png"

    def _tried(self, attempt: int) -> set[int]:
        return {number for part in self.rows for number in part["sample"][part["attempt"] == attempt]}

    def open(self, count: int, attempt: int) -> np.ndarray:
        """Samples without a novel picture that this attempt has not drawn yet."""
        tried = self._tried(attempt)
        return np.array([number for number in range(count) if number not in self.kept and number not in tried], int)

    def finished(self, max_tries: int) -> int:
        """Samples that are kept or given up."""
        return len(self._tried(max_tries) | set(self.kept))

    def keep(self, pictures: dict[int, np.ndarray]) -> None:
        """Take in novel samples ``[3, H, W]`` uint8."""
        for number, picture in pictures.items():
            self.kept[number] = picture
            if self.folder is not None:
                target = self._file(self.folder, number)
                write_picture(picture, target)
                self.kept[number] = target

    def add(self, numbers: np.ndarray, attempt: int, seeds: np.ndarray, verdicts: Verdicts) -> None:
        """Take in what became of a batch."""
        columns = {"sample": numbers, "attempt": attempt, "seed": seeds}
        self.rows.append(pd.concat((pd.DataFrame(columns), verdicts.table), axis=1))
        if self.folder is not None:
            self.rows = [pd.concat(self.rows, ignore_index=True)]
            write_table(self.rows[0], self.folder / TRIES)

    def result(self, count: int) -> PrivateSamples:
        """All of it."""
        tries = pd.concat(self.rows, ignore_index=True).sort_values(["sample", "attempt"], ignore_index=True)
        return PrivateSamples(count, tries, dict(sorted(self.kept.items())))


def check_folder(folder: Path, source: str, real: Sequence[str]) -> None:
    """Refuse a folder for samples that holds other files, or lies where the real pictures do.

    Args:
        folder: For the samples.
        source: Folder that the real pictures were read from; "" where they were not.
        real: Paths of the real pictures.

    Raises:
        LCMemError: It does, or is a file.
    """
    above = [place for each in (folder.absolute(), folder.resolve()) for place in each.parents]
    places = {os.path.dirname(path) for path in real} | {source} - {""}
    theirs = {Path(each) for place in places for each in (place, os.path.realpath(place))}
    if inside := next((place for place in above if place in theirs or is_atlas(place)), None):
        raise LCMemError(
            f"{folder}: lies among the real pictures ({inside}), so samples would be taken for some; choose another "
            "folder"
        )
    if folder.is_file():
        raise LCMemError(f"{folder}: a file, but samples go to a folder; name a new one")
    held = sorted(path.name for path in folder.iterdir() if path.name != LOCK) if folder.is_dir() else []
    if held and RUN not in held:
        raise LCMemError(f"{folder}: holds other files ({', '.join(held[:3])}, …); choose a new folder for the samples")


def _others(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """In which settings a run is another than an earlier one, which may have fewer samples and tries."""
    found = [name for name in GROWING if now[name] < before.get(name, 0)]
    found += [name for name in ("seed", "detector", "real") if now[name] != before.get(name)]
    first = None if now["against"] is None else now["against"][: before.get("count")]
    if first != before.get("against"):
        found.append("against")
    if not _as_good_as(now["thresholds"], before.get("thresholds")):
        found.append("thresholds")
    return [WORDS.get(name) or f"{name} ({before.get(name)} instead of {now[name]})" for name in found]


def _as_good_as(now: dict[str, float | None], before: Any) -> bool:
    """Whether thresholds differ by rounding alone, as of another number of threads or another processor."""
    if not isinstance(before, dict) or before.keys() != now.keys():
        return False
    pairs = [(inf if level is None else level, before[name]) for name, level in now.items()]
    return all(isclose(one, inf if two is None else two, **ROUNDING) for one, two in pairs)


def _is_whole(picture: Path) -> bool:
    """Whether a file ends as a PNG does."""
    return picture.is_file() and picture.read_bytes()[-8:-4] == b"IEND"


def _warn_of_deleted(folder: Path, numbers: list[int]) -> None:
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    warnings.warn(
        f"{folder / SAMPLES}: pictures of {len(numbers)} samples are gone or damaged ({shown}); they are drawn again",
        LCMemWarning,
        stacklevel=5,
    )


def picture_of(kept: np.ndarray | Path) -> np.ndarray:
    """A kept sample as ``[3, H, W]`` uint8, wherever it is."""
    return kept if isinstance(kept, np.ndarray) else load_levels(kept)
