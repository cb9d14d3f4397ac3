"""How good, how varied and how private a set of synthetic pictures is: the numbers of the paper's table 3."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.files import finite, write_json, write_table
from lcmem.generation.distances import Distances, frechet_distance, kernel_distance, with_floor
from lcmem.generation.irs import RetrievalScore, retrieval_score
from lcmem.jobs.audit.paired import PairedResult, audit_pairs, check_pairs
from lcmem.jobs.audit.run import audit
from lcmem.locks import alone_in
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_sets, open_features, read_sources
from lcmem.pictures.manifest import Manifest
from lcmem.stats.calibration import DEFAULT_RATE
from lcmem.stats.rates import Difference, Rate


@dataclass(frozen=True)
class Metrics:
    """Everything that is measured of two sets.

    Attributes:
        extractor: Name of the detector whose features the distances are of.
        frechet: Fréchet distance, called FID only with Inception-v3.
        kernel: Kernel distance (KID with Inception-v3).
        retrieval: Retrieval score of the synthetic pictures.
        retrieval_holdout: That of as many held-out real pictures; None without a holdout.
        retrieval_matched: Of the synthetic pictures, but of as many as there are held-out ones; None without.
        rates: One-versus-all: share of synthetic pictures with a match, the holdout's share and the difference.
        paired: Rates of pairs; None without a table of pairs.
        skipped: Path and reason of the pictures that could not be used.
        about: Model, threshold, counts.
    """

    extractor: str
    frechet: Distances
    kernel: Distances
    retrieval: RetrievalScore
    retrieval_holdout: RetrievalScore | None
    retrieval_matched: RetrievalScore | None
    rates: dict[str, Rate | Difference]
    paired: PairedResult | None
    skipped: list[tuple[str, str]]
    about: dict[str, Any]

    @property
    def adjusted(self) -> float | None:
        """Learnt pictures by the synthetic set for each by as many real pictures; None without a holdout."""
        if self.retrieval_holdout is None or self.retrieval_matched is None:
            return None
        return self.retrieval_matched.learnt / self.retrieval_holdout.learnt

    def rows(self) -> list[dict[str, Any]]:
        """A row for each number: ``metric, value, low, high, interval, note``."""
        size = self.frechet.pictures
        rows = []
        for name, found in (("FD", self.frechet), ("KD", self.kernel)):
            for what, part in (("", found.synthetic), (", real to real", found.floor)):
                note = f"{size} against {size} pictures"
                rows.append(_row(f"{name} ({self.extractor}){what}", part.value, part.low, part.high, "95 %", note))
        for name, score in (("IRS", self.retrieval), ("IRS of the holdout", self.retrieval_holdout)):
            if score is not None:
                note = f"{score.distinct} distinct of {score.total} hit by {score.queries}"
                rows.append(
                    _row(name, score.value, *score.interval, "90 %", note + (", high end: at least" * score.capped))
                )
        if self.adjusted is not None and self.retrieval_holdout is not None:
            note = f"both of {self.retrieval_holdout.queries} pictures"
            rows.append(_row("IRS, adjusted", self.adjusted, None, None, "", note))
        for name, rate in self.rates.items():
            counts = f"{rate.count} of {rate.total}" if isinstance(rate, Rate) else ""
            rows.append(_row(name, rate.value, rate.low, rate.high, "95 %", counts))
        for name, rate in (self.paired.rates if self.paired else {}).items():
            label = f"paired memorization rate, {name}"
            note = f"{rate.count} of {rate.total}"
            if self.paired is not None and self.paired.left_out:
                note += f", {self.paired.left_out} pairs left out: {self.paired.skipped[0][1]}"
            rows.append(_row(label, rate.value, rate.low, rate.high, "95 %", note))
        return rows

    def summary(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        return {"metrics": self.rows(), "skipped": len(self.skipped)} | self.about


def _row(metric: str, value: float, low: float | None, high: float | None, interval: str, note: str) -> dict[str, Any]:
    return {"metric": metric, "value": value, "low": low, "high": high, "interval": interval, "note": note}


def measure(
    real: Any,
    synthetic: Any,
    *,
    extractor: Detector,
    model: Detector,
    holdout: Any = None,
    paired: Path | None = None,
    threshold: float | None = None,
    false_positive_rate: float = DEFAULT_RATE,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> Metrics:
    """Measure a set of synthetic pictures.

    Args:
        real: The training pictures, as of :func:`lcmem.audit`.
        synthetic: The generated ones.
        extractor: Its features are what distances and retrieval scores are computed on.
        model: The detector that finds matches.
        holdout: Real pictures that the generator never saw: the control of the rates, and what the retrieval score is
            adjusted by.
        paired: Table of pairs, see :func:`lcmem.jobs.audit.paired.audit_pairs`.
        threshold: As of :func:`lcmem.audit`.
        false_positive_rate: As of :func:`lcmem.audit`.
        out: Folder for features and ``metrics.json``; None writes nothing.
        workers: Decoding processes.

    Raises:
        LCMemError: Sets that are too small or cannot be read, or an atlas, which holds the features of one model only.
    """
    check_pairs(paired)
    sources = read_sources({"real": real, "synthetic": synthetic, "holdout": holdout})
    sets = _features(sources, extractor, out, workers)
    result = audit(
        sources["real"],
        sources["synthetic"],
        holdout=sources.get("holdout"),
        model=model,
        threshold=threshold,
        false_positive_rate=false_positive_rate,
        out=None if out is None else Path(out) / "audit",
        workers=workers,
    )
    pairs = None
    if paired is not None:
        audited = None if out is None else Path(out) / "audit"
        with nullcontext() if audited is None else alone_in(audited):
            kept = None if audited is None else open_features(audited / "features", model)
            pairs = audit_pairs(paired, model, audit=result, store=kept, workers=workers)
    rates: dict[str, Rate | Difference] = {"memorization rate, one-versus-all": result.memorization}
    if result.holdout is not None and result.excess is not None:
        rates |= {"of the holdout": result.holdout, "excess over the holdout": result.excess}
    about = {
        "extractor": extractor.name,
        "model": model.name,
        "threshold": finite(result.calibration.logit),
        "threshold_method": result.calibration.method,
        "n_real": len(sets["real"].blocks),
        "n_synthetic": len(sets["synthetic"].blocks),
    }
    found = _measured(sets, extractor.name, rates, pairs, about)
    if out is not None:
        write_json(found.summary(), Path(out) / "metrics.json")
        write_table(pd.DataFrame(found.skipped, columns=["path", "reason"]), Path(out) / "skipped.csv")
    return found


def _features(
    sources: dict[str, Manifest | Atlas], extractor: Detector, out: str | os.PathLike[str] | None, workers: int | None
) -> dict[str, FeatureSet]:
    # an atlas's features are another model's; its pictures may be here
    pictures = {
        name: Manifest(source.manifest.table) if isinstance(source, Atlas) else source
        for name, source in sources.items()
    }
    place = None if out is None else Path(out) / f"features-{extractor.name}"
    return extract_sets(pictures, extractor, open_features(place, extractor), workers=workers)


def _measured(
    sets: dict[str, FeatureSet],
    extractor: str,
    rates: dict[str, Rate | Difference],
    pairs: PairedResult | None,
    about: dict[str, Any],
) -> Metrics:
    real, synthetic = (np.array(sets[name].blocks[:]) for name in ("real", "synthetic"))
    holdout = np.array(sets["holdout"].blocks[:]) if "holdout" in sets else None
    ours, theirs = None, None
    if holdout is not None:
        count, rng = min(len(holdout), len(synthetic)), np.random.default_rng(0)
        ours, theirs = (retrieval_score(real, rng.permutation(part)[:count]) for part in (synthetic, holdout))
    return Metrics(
        extractor=extractor,
        frechet=with_floor(real, synthetic, frechet_distance),
        kernel=with_floor(real, synthetic, kernel_distance),
        retrieval=retrieval_score(real, synthetic),
        retrieval_holdout=theirs,
        retrieval_matched=ours,
        rates=rates,
        paired=pairs,
        skipped=[item for each in sets.values() for item in each.skipped],
        about=about,
    )
