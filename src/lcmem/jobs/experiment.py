"""The experiments of ``lcmem experiment``: table 3, memorization by training-set size, near-duplicates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.detectors.base import Detector
from lcmem.detectors.each import measure_each
from lcmem.errors import LCMemError
from lcmem.files import replacing, write_table
from lcmem.generation.bench import Bench, Samples, embedded, features_of, save_grid
from lcmem.generation.conditions import STRATEGIES, conditions, learn
from lcmem.generation.distances import frechet_distance, kernel_distance, with_floor
from lcmem.generation.filter import PrivacyFilter
from lcmem.generation.irs import retrieval_score
from lcmem.generation.regenerate import generate_private
from lcmem.generation.training import DiffusionTraining
from lcmem.generation.tries import PrivateSamples, picture_of
from lcmem.jobs.paired import PAPER, paired_rates
from lcmem.latents import LatentStore
from lcmem.matching.verdicts import NO_MATCH
from lcmem.progress import progress_bar
from lcmem.report.experiments import plot_near_duplicates, plot_sizes
from lcmem.stats.rates import Rate, wilson

PUBLISHED = {
    "Label + Noise": (9.43, 0.362, 4.31),
    "Prediction": (8.23, 0.423, 6.68),
    "Prediction + Label": (7.25, 0.479, 6.32),
    "Ensemble": (9.68, 0.479, 7.04),
    "Ensemble + Label": (8.28, 0.505, 6.17),
}
"""FID, IRS and memorization rate in % of the paper's table 3."""
SHOWN = 8
"""Nearest pairs shown for each size."""


def table3(bench: Bench) -> pd.DataFrame:
    """The paper's table 3: one generator for each conditioning, its quality, variety and memorization.

    Writes ``table3.csv`` and below each strategy's folder its generator, samples and what was drawn again.
    """
    known = learn(bench.train, bench.settings.classifier, bench.folder / "classifiers", bench.where.device)
    quality = np.array(features_of(bench.train.manifest, bench.extractor, bench.folder).blocks[:])
    rows = []
    for strategy in STRATEGIES:
        name, condition = strategy.lower().replace(" + ", "-"), conditions(strategy, known)
        module = bench.generator(name, bench.train, condition)
        samples = bench.samples(name, module, bench.train, condition)
        rows.append({"strategy": strategy} | _quality(quality, samples.quality) | _memorization(bench, samples))
        rows[-1] |= _redrawn(bench, name, module, condition, samples, quality)
        fid, irs, rate = PUBLISHED[strategy]
        rows[-1] |= {"published_fid": fid, "published_irs": irs, "published_memorization": rate / 100}
        write_table(pd.DataFrame(rows), bench.folder / "table3.csv")
    return pd.DataFrame(rows)


def _quality(real: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, distance in (("fd", frechet_distance), ("kd", kernel_distance)):
        found = with_floor(real, samples, distance)
        row |= {name: found.synthetic.value, f"{name}_low": found.synthetic.low, f"{name}_high": found.synthetic.high}
        row[f"{name}_floor"] = found.floor.value
    score = retrieval_score(real, samples)
    return row | {"irs": score.value, "irs_low": score.interval[0], "irs_high": score.interval[1]}


def _memorization(bench: Bench, samples: Samples) -> dict[str, Any]:
    """The paired rate (equation 4), and one-versus-all with the holdout's pictures as the control."""
    privacy, detector = bench.privacy, bench.detector
    scores = detector.similarity(torch.from_numpy(samples.matching), bench.real.features).double().numpy()
    threshold = privacy.thresholds.identity
    paired = paired_rates(scores, {"calibrated": threshold}, logits=detector.head is not None)
    row = {"threshold": threshold} | _columns("paired_calibrated", paired["calibrated"])
    if PAPER in paired:
        row |= _columns("paired", paired[PAPER])
    for name, features in (("one_vs_all", samples.matching), ("holdout", np.array(bench.control.blocks[:]))):
        found = privacy.judge(torch.from_numpy(features)).novel
        row |= _columns(name, wilson(int((~found).sum()), len(found)))
    return row


def _columns(name: str, rate: Rate) -> dict[str, float]:
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}


def _redrawn(
    bench: Bench,
    name: str,
    module: DiffusionTraining,
    condition: np.ndarray,
    samples: Samples,
    quality: np.ndarray,
) -> dict[str, Any]:
    """Reject and draw again, paired, at the paper's threshold: its price, and FD and IRS before and after."""
    if bench.detector.head is None:
        return {}
    settings, count = bench.settings, min(bench.settings.redrawn, len(condition))
    privacy = PrivacyFilter(bench.detector, bench.real, threshold=0.5)

    def sampler(numbers: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        pictures = bench.pictures(bench.draw(module, condition[numbers], seeds), bench.train, numbers)
        return pictures.permute(0, 2, 3, 1).numpy()

    found = generate_private(
        sampler,
        privacy,
        count,
        max_tries=settings.max_tries,
        against=np.arange(count),
        batch_size=settings.batch_size,
        seed=settings.generator.seed + 1,
        out=bench.folder / name / "redrawn",
    )
    return _price(bench, found, samples.quality[:count], quality)


def _price(bench: Bench, found: PrivateSamples, before: np.ndarray, quality: np.ndarray) -> dict[str, Any]:
    first = found.tries.drop_duplicates("sample")
    row: dict[str, Any] = {
        "redrawn": found.count,
        "redrawn_first_rate": float((first["verdict"] != NO_MATCH).mean()),
        "redrawn_drawn": len(found.tries),
        "redrawn_given_up": len(found.given_up),
    }
    if len(found.kept) < 4:
        return row
    pictures = torch.from_numpy(np.stack([picture_of(each) for each in found.kept.values()]))
    after, matching = embedded(bench.extractor, pictures).numpy(), embedded(bench.detector, pictures)
    at = np.array([*found.kept])
    paired = bench.detector.similarity(matching, torch.from_numpy(bench.real.blocks.take(at))).numpy()
    row["redrawn_rate_after"] = float((paired > 0).mean())
    for title, features in (("before", before), ("after", after)):
        row[f"redrawn_fd_{title}"] = with_floor(quality, features, frechet_distance).synthetic.value
        row[f"redrawn_irs_{title}"] = retrieval_score(quality, features).value
    return row


def size_curve(bench: Bench) -> pd.DataFrame:
    """Memorization by the size of the training set: generators without condition, trained for equal numbers of steps.

    Writes ``sizes.csv``, ``sizes.png`` and for each size the samples nearest to a training picture beside that
    picture (``nearest.png``).
    """
    rows, settings = [], bench.settings
    for size in settings.sizes:
        if size > len(bench.train):
            raise LCMemError(f"{size} training pictures are asked for, there are {len(bench.train)}")
        store, name = bench.train.rows(np.arange(size)), f"size-{size}"
        module = bench.generator(name, store, np.empty((size, 0), dtype=np.float32))
        samples = bench.samples(name, module, store, np.empty((settings.samples, 0), dtype=np.float32))
        rows.append({"pictures": size} | _by_size(bench, store, samples, name))
        write_table(pd.DataFrame(rows), bench.folder / "sizes.csv")
    table = pd.DataFrame(rows)
    plot_sizes(table, bench.folder / "sizes.png")
    return table


def _by_size(bench: Bench, store: LatentStore, samples: Samples, name: str) -> dict[str, Any]:
    """Share of samples, and of held-out pictures, that match one of the training pictures."""
    privacy = PrivacyFilter(bench.detector, features_of(store.manifest, bench.detector, bench.folder))
    judged = privacy.judge(torch.from_numpy(samples.matching))
    control = privacy.judge(torch.from_numpy(np.array(bench.control.blocks[:])))
    row: dict[str, Any] = {"threshold": privacy.thresholds.identity}
    for title, found in (("samples", judged), ("holdout", control)):
        row |= _columns(title, wilson(int((~found.novel).sum()), len(found.novel)))
    at = judged.table["logit"].nlargest(SHOWN).index.to_numpy()
    made = bench.pictures(torch.from_numpy(samples.latents[at]).float(), store, at % len(store))
    real = pd.Index(store.manifest.paths).get_indexer(pd.Index(judged.table["real"][at]))
    originals = bench.pictures(store.read(real, normalise=True), store, real)
    save_grid(torch.cat([made, originals]), bench.folder / name / "nearest.png", columns=len(at))
    return row


def near_duplicates(bench: Bench, detectors: Sequence[str | Detector]) -> pd.DataFrame:
    """What filters find of near-duplicates that a generator makes (Koeken et al. 2025): noised to σ and denoised.

    The generator is the one of the largest training set of the size curve. Writes ``near_duplicates.csv`` and
    ``near_duplicates.png``.

    Args:
        bench: The experiment.
        detectors: Names or detectors; one that fails has a row that says why.
    """
    size = max(bench.settings.sizes)
    if size > len(bench.train):
        raise LCMemError(f"{size} training pictures are asked for, there are {len(bench.train)}")
    store = bench.train.rows(np.arange(size))
    module = bench.generator(f"size-{size}", store, np.empty((size, 0), dtype=np.float32))
    made = {
        (title, sigma): _duplicates(bench, module, part, sigma, title)
        for title, part in (("training", store), ("holdout", bench.holdout))
        for sigma in bench.settings.sigmas
    }
    rows = measure_each(detectors, ["all"], lambda detector: _flagged(bench, store, detector, made))
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
                clean, none = part.read(own, normalise=True), np.empty((len(own), 0), dtype=np.float32)
                seeds = start + np.arange(len(own))
                latents = bench.draw(module, none, seeds, start=clean, sigma_max=sigma)
                parts.append(bench.pictures(latents, part, own).numpy())
                advance(len(own))
        with replacing(target) as partial, partial.open("wb") as file:
            np.save(file, np.concatenate(parts))
    return torch.from_numpy(np.load(target)).unflatten(0, (count, repeats))


def _flagged(
    bench: Bench, store: LatentStore, detector: Detector, made: dict[tuple[str, float], torch.Tensor]
) -> list[dict[str, Any]]:
    """Share that the detector flags at its own calibrated threshold, and of originals whose repetitions agree."""
    privacy = PrivacyFilter(detector, features_of(store.manifest, detector, bench.folder))
    rows = []
    for (title, sigma), pictures in made.items():
        shape = pictures.shape[:2]
        hit = (~privacy.judge(embedded(detector, pictures.flatten(0, 1))).novel).reshape(shape)
        low, high = _interval(hit)
        agreeing = (hit.all(1) | ~hit.any(1)).mean()
        rows.append(
            {"set": title, "sigma": sigma, "flagged": hit.mean(), "low": low, "high": high, "agreeing": agreeing}
            | {"originals": shape[0], "repeats": shape[1], "threshold": privacy.thresholds.identity}
        )
    return rows


def _interval(hit: np.ndarray, replicates: int = 1000) -> tuple[float, float]:
    """95 % interval of the mean of ``[originals, repeats]``: originals are drawn again, repetitions are no new ones."""
    rng = np.random.default_rng(0)
    means = hit.mean(1)[rng.integers(len(hit), size=(replicates, len(hit)))].mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
