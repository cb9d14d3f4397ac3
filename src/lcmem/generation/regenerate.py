"""Reject and draw again, until every sample is novel or its tries are spent."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from lcmem.errors import LCMemError, PictureError
from lcmem.files import finite
from lcmem.generation.filter import Against, PrivacyFilter
from lcmem.generation.latent_filter import LatentFilter
from lcmem.generation.tries import PrivateSamples, TryRecord, check_folder
from lcmem.locks import alone_in
from lcmem.pictures.batch import is_single
from lcmem.pictures.information import shows_little
from lcmem.progress import progress_bar


class Sampler(Protocol):
    """Draws samples."""

    def __call__(self, numbers: np.ndarray, seeds: np.ndarray) -> Any:
        """Draw the samples of these numbers ``[n]``, each from its own seed ``[n]``.

        Returns:
            n of what the filter takes: pictures, or latents.
        """


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
        seed: Random seed of all draws.
        out: Folder for the novel samples (PNG) and the table of all tries; a run that was killed goes on there, as does
            one of more samples or tries. None keeps the pictures in memory.

    Returns:
        The novel samples, and what they cost. What is not a number, or shows nothing, is drawn again, too. Samples of
        which no try was novel are named, never among the pictures.

    Raises:
        LCMemError: The sampler fails or gives something else than n samples, or the folder holds another run.
    """
    asked = (count, max_tries, batch_size, seed)
    if not all(isinstance(each, int | np.integer) for each in asked) or min(asked[:3]) < 1 or seed < 0:
        given = ", ".join(map(str, asked))
        raise LCMemError(
            f"count, max_tries and batch_size must be whole numbers of at least 1 and seed at least 0, not {given}"
        )
    count, max_tries, batch_size, seed = map(int, asked)
    base = privacy.base if isinstance(privacy, LatentFilter) else privacy
    folder = None if out is None else Path(out)
    if folder is not None:
        check_folder(folder, base.source, base.real.manifest.paths)
    levels = base.thresholds.calibration
    places = None if against is None else base.positions(against, count)
    settings = {
        "count": count,
        "max_tries": max_tries,
        "seed": seed,
        "detector": f"{base.detector.name} {base.detector.fingerprint}",
        "thresholds": {
            "identity": finite(levels.logit),
            "copy": finite(base.thresholds.copy),
            **{f"identity in {kind}": finite(level) for kind, level in levels.by_kind.items()},
        },
        "real": base.real.fingerprint,
        "against": None if places is None else [base.real.manifest.paths[at] for at in places],
    }
    with nullcontext() if folder is None else alone_in(folder):
        record = TryRecord(folder, settings)
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
    record: TryRecord

    def draw(self, numbers: np.ndarray, attempt: int) -> int:
        """Draw, judge and record; return how many are novel."""
        seeds = try_seeds(self.seed, numbers, attempt)
        where = f"samples {numbers[0]} to {numbers[-1]}, try {attempt}"
        samples, broken = _numbers_only(self._sampled(numbers, seeds, where), len(numbers))
        against = None if self.places is None else self.places[numbers]
        try:
            verdicts = self.privacy(samples, against=against).without(broken)
            pictures = self.privacy.pictures(samples) if verdicts.novel.any() else []
        except PictureError as error:
            raise LCMemError(
                f"what the sampler gave cannot be judged at {where} ({error}); {self.record.way_out}"
            ) from error
        if len(pictures):
            pairs = zip(verdicts.novel, pictures, strict=True)  # of latents only now is seen what they show
            verdicts = verdicts.without(np.array([novel and shows_little(picture) for novel, picture in pairs]))
            self.record.keep({int(numbers[at]): pictures[at] for at in np.flatnonzero(verdicts.novel)})
        novel = np.flatnonzero(verdicts.novel)
        self.record.add(numbers, attempt, seeds, verdicts)
        return len(novel)

    def _sampled(self, numbers: np.ndarray, seeds: np.ndarray, where: str) -> Any:
        try:
            samples = self.sampler(numbers, seeds)
            samples = list(samples) if isinstance(samples, Iterator) else samples
        except LCMemError:
            raise
        except Exception as error:  # whatever the sampler's own code and libraries raise
            raise LCMemError(
                f"the sampler failed at {where} ({type(error).__name__}: {error}); {self.record.way_out}"
            ) from error
        if samples is not None and is_single(samples):
            samples = samples[None] if isinstance(samples, Tensor) else [samples]
        several = hasattr(samples, "__len__")
        found = len(samples) if several else 0
        if found != len(numbers):
            given = f"{found} samples" if several else f"no samples, but {type(samples).__name__},"
            raise LCMemError(f"the sampler gave {given} for {len(numbers)} numbers at {where}")
        return samples


def _numbers_only(samples: Any, count: int) -> tuple[Any, np.ndarray]:
    """Samples with 0 in the place of those with NaN or infinite values, and which of so many these are ``[n]``."""
    several = isinstance(samples, Tensor | np.ndarray | list | tuple)
    broken = np.array([_is_broken(sample) for sample in samples] if several else [False] * count, dtype=bool)
    if not broken.any():
        return samples, broken
    whole: Any = samples.clone() if isinstance(samples, Tensor) else list(samples)
    for at in np.flatnonzero(broken):
        whole[at] = 0 if isinstance(whole, Tensor) else np.zeros(samples[at].shape, np.float32)
    return whole, broken


def _is_broken(sample: Any) -> bool:
    if isinstance(sample, Tensor):
        return not bool(sample.isfinite().all())
    return isinstance(sample, np.ndarray) and sample.dtype.kind == "f" and not bool(np.isfinite(sample).all())
