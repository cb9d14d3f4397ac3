"""Reject and draw again, until every sample is novel or its tries are spent."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lcmem.errors import LCMemError
from lcmem.files import read_json, read_table, write_json, write_picture, write_table
from lcmem.generation.filter import Against, LatentFilter, PrivacyFilter, Verdicts
from lcmem.jobs.audit_matches import NO_MATCH
from lcmem.pictures.image import load_levels
from lcmem.progress import progress_bar

TRIES, RUN, SAMPLES = "tries.csv", "run.json", "samples"


class Sampler(Protocol):
    """Draws samples."""

    def __call__(self, numbers: np.ndarray, seeds: np.ndarray) -> Any:
        """Draw the samples of these numbers ``[n]``, each from its own seed ``[n]``.

        Returns:
            n of what the filter takes: pictures, or latents.
        """


@dataclass(frozen=True)
class PrivateSamples:
    """What was drawn, kept and given up.

    Attributes:
        count: Samples that were asked for.
        tries: A row for each sample drawn: ``sample, attempt`` (from 1), ``seed, verdict, logit, probability, real,
            identity``.
        kept: The novel samples by number: pictures ``[3, H, W]`` uint8, or the PNG files that hold them.
    """

    count: int
    tries: pd.DataFrame
    kept: dict[int, np.ndarray | Path]

    @property
    def given_up(self) -> list[int]:
        """Samples of which every try was a match: there is no picture of them."""
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
            "matches_at_first_try": int((first["verdict"] != NO_MATCH).sum()),
            "most_tries": int(self.tries["attempt"].max()) if len(self.tries) else 0,
        }

    def __str__(self) -> str:
        price = f"{len(self.tries)} drawn for {len(self.kept)} kept of {self.count}"
        lost = self.given_up
        if not lost:
            return price
        shown = ", ".join(map(str, lost[:5])) + (", …" if len(lost) > 5 else "")
        return f"{price}; given up, as every try matched a real picture: {len(lost)} ({shown})"


def generate_private(
    sampler: Sampler,
    privacy: PrivacyFilter | LatentFilter,
    count: int,
    *,
    max_tries: int = 10,
    against: Against | None = None,
    batch_size: int = 16,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> PrivateSamples:
    """Draw samples, and draw those that match a real picture again, each with a new seed.

    Args:
        sampler: Draws them. A try's seed depends on ``seed``, the sample and the try alone, so batches do not matter.
        privacy: The filter; one on latents where the sampler gives latents.
        count: Samples wanted.
        max_tries: How often a sample is drawn at most, the first time included.
        against: Of each sample the real picture that it is compared with (paper, equation 4); None: with all.
        batch_size: Samples drawn at once.
        seed: Of all draws.
        out: Folder for the novel samples (PNG) and the table of all tries; a run that was killed goes on there. None
            keeps the pictures in memory.

    Returns:
        The novel samples, and what they cost. Samples of which every try matched are named, never among the pictures.

    Raises:
        LCMemError: The sampler fails or gives something else than n samples, or the folder holds another run.
    """
    if count < 1 or max_tries < 1 or batch_size < 1:
        raise LCMemError(f"count, max_tries and batch_size must be at least 1, not {count}, {max_tries}, {batch_size}")
    base = privacy.base if isinstance(privacy, LatentFilter) else privacy
    places = None if against is None else base.positions(against, count)
    settings = {
        "count": count,
        "max_tries": max_tries,
        "seed": seed,
        "detector": base.detector.fingerprint,
        "thresholds": [base.thresholds.identity, str(base.thresholds.copy)],
        "against": None if places is None else [base.real.manifest.paths[at] for at in places],
    }
    record = _Record(None if out is None else Path(out), settings)
    loop = _Loop(sampler, privacy, places, seed, record)
    with progress_bar("drawing", count, done=record.finished(max_tries)) as advance:
        for attempt in range(1, max_tries + 1):
            for numbers in _batches(record.open(count, attempt), batch_size):
                kept = loop.draw(numbers, attempt)
                advance(len(numbers) if attempt == max_tries else kept)
    return record.result(count)


def _batches(numbers: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def try_seeds(seed: int, numbers: np.ndarray, attempt: int) -> np.ndarray:
    """The seed of one try of each sample ``[n]``."""
    states = [np.random.SeedSequence((seed, int(number), attempt)).generate_state(1)[0] for number in numbers]
    return np.array(states, dtype=np.int64)


@dataclass(frozen=True)
class _Loop:
    sampler: Sampler
    privacy: PrivacyFilter | LatentFilter
    places: np.ndarray | None
    seed: int
    record: "_Record"

    def draw(self, numbers: np.ndarray, attempt: int) -> int:
        """Draw, judge and record; return how many are novel."""
        seeds = try_seeds(self.seed, numbers, attempt)
        samples = self._sampled(numbers, seeds, attempt)
        against = None if self.places is None else self.places[numbers]
        verdicts = self.privacy(samples, against=against)
        novel = np.flatnonzero(verdicts.novel)
        if len(novel):
            pictures = self.privacy.pictures(samples)
            self.record.keep({int(numbers[at]): pictures[at] for at in novel})
        self.record.add(numbers, attempt, seeds, verdicts)
        return len(novel)

    def _sampled(self, numbers: np.ndarray, seeds: np.ndarray, attempt: int) -> Any:
        where = f"samples {numbers[0]} to {numbers[-1]}, try {attempt}"
        try:
            samples = self.sampler(numbers, seeds)
        except LCMemError:
            raise
        except Exception as error:  # whatever the sampler's own code and libraries raise
            raise LCMemError(
                f"the sampler failed at {where} ({type(error).__name__}: {error}); {self.record.way_out}"
            ) from error
        found = len(samples) if hasattr(samples, "__len__") else 1
        if found != len(numbers):
            raise LCMemError(f"the sampler gave {found} samples for {len(numbers)} numbers at {where}")
        return samples


class _Record:
    """The tries and the novel samples so far, in memory or in a folder.

    Pictures are written before the table that names them, so that the table never promises one that is not there.
    """

    def __init__(self, folder: Path | None, settings: dict[str, Any]) -> None:
        self.folder, self.kept = folder, dict[int, np.ndarray | Path]()
        self.rows: list[pd.DataFrame] = []
        if folder is None:
            return
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
        if not (folder / RUN).is_file():
            write_json(settings, folder / RUN)
        elif read_json(folder / RUN) != settings:
            raise LCMemError(
                f"{folder}: holds a run with another count, seed, filter or number of tries; choose another folder, or "
                "delete this one"
            )
        if (folder / TRIES).is_file():
            self._read(folder)

    def _read(self, folder: Path) -> None:
        numbers = {"sample": int, "attempt": int, "seed": int, "logit": float, "probability": float}
        table = read_table(folder / TRIES, numbers, keep_default_na=False, na_values={"probability": [""]})
        self.rows = [table.astype(numbers)]
        novel = table["sample"][table["verdict"] == NO_MATCH].astype(int)
        self.kept = {number: self._file(folder, number) for number in novel}

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
        """Samples without a novel picture that were not tried for the so-manieth time yet."""
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


def picture_of(kept: np.ndarray | Path) -> np.ndarray:
    """A kept sample as ``[3, H, W]`` uint8, wherever it is."""
    return kept if isinstance(kept, np.ndarray) else load_levels(kept)
