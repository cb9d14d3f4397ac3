"""``lcmem experiment near-duplicates``: what filters find of what a generator makes of its training pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.detectors.base import Detector
from lcmem.detectors.each import OK, measure_each
from lcmem.files import replacing, write_table
from lcmem.generation.diffusion.bench import Bench, embedded, features_of, unconditional
from lcmem.generation.diffusion.training import DiffusionTraining
from lcmem.generation.filter import PrivacyFilter
from lcmem.latents import LatentStore
from lcmem.progress import progress_bar
from lcmem.report.experiments import plot_near_duplicates


def near_duplicates(bench: Bench, detectors: Sequence[str | Detector]) -> pd.DataFrame:
    """What filters find of near-duplicates that a generator makes (Koeken et al. 2025): noised to σ and denoised.

    The generator is the one of the largest training set of the size curve. Writes ``near_duplicates.csv`` and
    ``near_duplicates.png``.

    Args:
        bench: The experiment.
        detectors: Names or detectors; one that fails has a row that says why.
    """
    store = bench.first(max(bench.settings.sizes))
    _, module = bench.by_size(store)
    made = {
        (title, sigma): _duplicates(bench, module, part, sigma, title)
        for title, part in (("training", store), ("holdout", bench.holdout))
        for sigma in bench.settings.sigmas
    }
    rows = measure_each(detectors, ["all"], lambda detector: _flagged(bench, store, detector, made))
    audit = {"detector": f"{bench.detector.name}, as in an audit", "status": OK}
    rows += [audit | row for row in _flagged(bench, store, bench.detector, made, looked=True)]
    table = pd.DataFrame(rows)
    write_table(table, bench.folder / "near_duplicates.csv")
    plot_near_duplicates(table, bench.folder / "near_duplicates.png")
    return table


def _duplicates(bench: Bench, module: DiffusionTraining, part: LatentStore, sigma: float, title: str) -> torch.Tensor:
    """Near-duplicates ``[originals, repeats, 3, H, W]`` uint8 of the first pictures of a set, kept on disk."""
    count, repeats = min(bench.settings.originals, len(part)), bench.settings.repeats
    target = bench.folder / "near-duplicates" / f"{title}-{sigma:g}.npy"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_file():
        at, size = np.arange(count).repeat(repeats), bench.settings.batch_size
        parts = []
        with progress_bar(f"near-duplicates of {title}, σ = {sigma:g}", len(at)) as advance:
            for start in range(0, len(at), size):
                own = at[start : start + size]
                clean, none = part.read(own, normalise=True), unconditional(len(own))
                seeds = start + np.arange(len(own))
                latents = bench.draw(module, none, seeds, start=clean, sigma_max=sigma)
                parts.append(bench.pictures(latents, part, own).numpy())
                advance(len(own))
        with replacing(target) as partial, partial.open("wb") as file:
            np.save(file, np.concatenate(parts))
    return torch.from_numpy(np.load(target)).unflatten(0, (count, repeats))


def _flagged(
    bench: Bench,
    store: LatentStore,
    detector: Detector,
    made: dict[tuple[str, float], torch.Tensor],
    looked: bool = False,
) -> list[dict[str, Any]]:
    """Share that the detector flags at its own calibrated threshold, and of originals whose repetitions agree.

    An audit also looks at thumbnails (``looked``), which would make all detectors alike here.
    """
    privacy = PrivacyFilter(detector, features_of(store.manifest, detector, bench.folder))
    rows = []
    for (title, sigma), pictures in made.items():
        shape = pictures.shape[:2]
        every = pictures.flatten(0, 1)
        seen = list(every.permute(0, 2, 3, 1).numpy()) if looked else None
        hit = (~privacy.judge(embedded(detector, every), samples=seen).novel).reshape(shape)
        low, high = _interval(hit)
        agreeing = (hit.all(1) | ~hit.any(1)).mean()
        rows.append(
            {"set": title, "sigma": sigma, "flagged": hit.mean(), "low": low, "high": high, "agreeing": agreeing}
            | {"originals": shape[0], "repeats": shape[1], "threshold": privacy.thresholds.calibration.logit}
        )
    return rows


def _interval(hit: np.ndarray, replicates: int = 1000) -> tuple[float, float]:
    """95 % interval of the mean of ``[originals, repeats]``: originals are drawn again, repetitions are no new ones."""
    rng = np.random.default_rng(0)
    means = hit.mean(1)[rng.integers(len(hit), size=(replicates, len(hit)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
