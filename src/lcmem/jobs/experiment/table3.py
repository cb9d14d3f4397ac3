"""``lcmem experiment table3``: five conditionings of a generator, what each gives away, and what rejecting costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from lcmem.files import write_table
from lcmem.generation.diffusion.bench import Bench, embedded, features_of
from lcmem.generation.diffusion.conditions import STRATEGIES, conditions, learn
from lcmem.generation.diffusion.samples import Samples
from lcmem.generation.diffusion.training import DiffusionTraining
from lcmem.generation.distances import frechet_distance, kernel_distance, with_floor
from lcmem.generation.filter import PrivacyFilter
from lcmem.generation.irs import retrieval_score
from lcmem.generation.regenerate import generate_private
from lcmem.generation.tries import PrivateSamples, picture_of
from lcmem.jobs.audit.paired import PAPER, paired_rates
from lcmem.matching.verdicts import NO_MATCH
from lcmem.pictures.image import PictureLike
from lcmem.stats.rates import rate_of

PUBLISHED = {
    "Label + Noise": (9.43, 0.362, 4.31),
    "Prediction": (8.23, 0.423, 6.68),
    "Prediction + Label": (7.25, 0.479, 6.32),
    "Ensemble": (9.68, 0.479, 7.04),
    "Ensemble + Label": (8.28, 0.505, 6.17),
}
"""FID, IRS and memorization rate in % of the paper's table 3."""


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
        row |= found.synthetic.columns(name) | {f"{name}_floor": found.floor.value}
    score = retrieval_score(real, samples)
    return row | {"irs": score.value, "irs_low": score.interval[0], "irs_high": score.interval[1]}


def _memorization(bench: Bench, samples: Samples) -> dict[str, Any]:
    """The paired rate (equation 4), and one-versus-all with the holdout's pictures as the control."""
    privacy, detector = bench.privacy, bench.detector
    scores = detector.similarity(torch.from_numpy(samples.matching), bench.real.features).double().numpy()
    threshold = privacy.thresholds.calibration.logit
    alone = np.arange(len(scores))  # each training picture has one sample
    paired = paired_rates(scores, {"calibrated": threshold}, alone, logits=detector.head is not None)
    row = {"threshold": threshold} | paired["calibrated"].columns("paired_calibrated")
    if PAPER in paired:
        row |= paired[PAPER].columns("paired")
    judged: dict[str, tuple[np.ndarray, Sequence[PictureLike]]] = {
        "one_vs_all": (samples.matching, bench.decoded(samples, bench.train)),
        "holdout": (np.array(bench.control.blocks[:]), bench.control.manifest.paths),
    }
    for name, (features, pictures) in judged.items():
        found = privacy.judge(torch.from_numpy(features), samples=pictures).novel
        row |= rate_of(~found).columns(name)
    return row


def _redrawn(
    bench: Bench, name: str, module: DiffusionTraining, condition: np.ndarray, samples: Samples, quality: np.ndarray
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
