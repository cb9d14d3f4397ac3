"""The audit from end to end."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas import Atlas
from lcmem.detectors.base import Detector
from lcmem.detectors.entry import Options
from lcmem.detectors.faces import face_hint
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.registry import load_detector
from lcmem.errors import LCMemError
from lcmem.jobs.audit_result import AuditResult
from lcmem.jobs.compare import compare, given_score, highest_score, probabilities, score_pairs
from lcmem.jobs.features import FeatureSet, extract_features, open_features, read_source
from lcmem.jobs.output import check_output, claim_output
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.scan import Best, ChunkedRows
from lcmem.stats.calibration import DEFAULT_RATE, Calibration, calibrate, calibrate_tail, random_pairs
from lcmem.stats.rates import excess, wilson

Source = ManifestLike | Atlas


def audit(
    real: Source,
    synthetic: Source,
    *,
    holdout: Source | None = None,
    model: str | os.PathLike[str] | Detector = "compact",
    threshold: float | None = None,
    false_positive_rate: float = DEFAULT_RATE,
    top_k: int = 5,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    workers: int | None = None,
    allow_download: bool = False,
    command: str | None = None,
) -> AuditResult:
    """Compare every synthetic picture with every real one.

    Args:
        real: The generator's training pictures: a folder, a zip file, a CSV or Parquet table, a Manifest; or an
            atlas, whose identities and features are taken as they are, whether the pictures are here or not.
        synthetic: The generated pictures, in any of these forms.
        holdout: Real pictures of identities that the generator never saw, in any of these forms.
        model: A detector's name (``lcmem detectors`` lists them), a checkpoint's folder, or a loaded detector.
        threshold: Probability in [0, 1] from which a pair is a match (of a detector without a head: its similarity);
            None calibrates it.
        false_positive_rate: What to calibrate for: share of pictures of unseen identities that may match by chance.
        top_k: Best matches to keep for each synthetic picture.
        out: Where to write features (so that a run can be resumed), tables and report; None writes nothing.
        device: ``cpu``, ``cuda`` or ``mps``, or several to encode on: ``cuda:0,cuda:1``.
        workers: Decoding processes.
        allow_download: Whether hub weights may be downloaded.
        command: The command line to name in the summary and the report.

    Returns:
        The result; it is already saved if ``out`` was given.

    Raises:
        LCMemError: No usable picture in one of the sets, a threshold or a rate outside its range, …
    """
    inputs = {"real": real, "synthetic": synthetic, "holdout": holdout}
    if out is not None:
        check_output(out, "audit", inputs)
    if not 0 < false_positive_rate < 1:
        raise LCMemError(f"the false positive rate must lie between 0 and 1, not {false_positive_rate}")
    if top_k < 1:
        raise LCMemError(f"top_k must be at least 1, not {top_k}")
    began = time.perf_counter()
    name = model if isinstance(model, Detector) else os.fspath(model)
    detector = load_detector(name, Options(device, allow_download))
    given = None if threshold is None else _given(threshold, detector)
    sources = _sources(real, synthetic, holdout)
    if out is not None:
        claim_output(out, "audit", inputs)
    sets = _features(sources, detector, out, workers)
    about = _about(detector, sets) | ({} if command is None else {"command": command})
    result = _compare(sets, detector, given, false_positive_rate, top_k, about, began)
    if out is not None:
        result.save(out)
    return result


def _given(threshold: float, detector: Detector) -> Calibration:
    return Calibration(given_score(threshold, detector), None, "given", f"The threshold {threshold:g} was given.")


def _sources(real: Source, synthetic: Source, holdout: Source | None) -> dict[str, Manifest | Atlas]:
    sources = {"real": read_source(real), "synthetic": read_source(synthetic)}
    if holdout is not None:
        sources["holdout"] = read_source(holdout)
        shared = set(sources["holdout"].paths) & set(sources["real"].paths)
        if shared:
            raise LCMemError(f"{len(shared)} pictures are in the real set and in the holdout, e.g. {min(shared)}")
    return sources


def _features(
    sources: dict[str, Manifest | Atlas],
    detector: Detector,
    out: str | os.PathLike[str] | None,
    workers: int | None,
) -> dict[str, FeatureSet]:
    stored = out is not None and detector.fingerprint
    store = open_features(Path(out) / "features", detector) if out is not None and stored else None
    sets = {
        name: extract_features(source, detector, store, title=f"encoding {name}", workers=workers)
        for name, source in sources.items()
    }
    for name, found in sets.items():
        if not len(found.manifest):
            raise LCMemError(f"none of the {len(sources[name])} {name} pictures can be used: {found.skipped[0][1]}")
    return sets


def _compare(
    sets: dict[str, FeatureSet],
    detector: Detector,
    given: Calibration | None,
    rate: float,
    top_k: int,
    about: dict[str, Any],
    began: float,
) -> AuditResult:
    real, synthetic = sets["real"], sets["synthetic"]
    k = min(top_k, len(real.blocks))
    best = compare(synthetic.blocks, real.blocks, detector, k=k, title="synthetic × real").best
    scores = {"synthetic": best.logits[:, 0]} | _chance(sets, detector)
    calibration = given or _calibration(real, scores, detector, rate)
    matched = {
        name: int((scores[name] >= calibration.logit).sum()) for name in ("synthetic", "holdout") if name in scores
    }
    memorization = wilson(matched["synthetic"], len(scores["synthetic"]))
    control = wilson(matched["holdout"], len(scores["holdout"])) if "holdout" in scores else None
    return AuditResult(
        matches=_match_table(synthetic.manifest, real.manifest, best, calibration.logit, detector),
        calibration=calibration,
        memorization=memorization,
        holdout=control,
        excess=excess(memorization, control) if control else None,
        skipped=pd.DataFrame(
            [(name, *item) for name, found in sets.items() for item in found.skipped], columns=["set", "path", "reason"]
        ),
        scores=scores,
        about=about | {"seconds": time.perf_counter() - began},
    )


def _chance(sets: dict[str, FeatureSet], detector: Detector) -> dict[str, np.ndarray]:
    """Best scores of pictures that have no true match: the holdout's, and the real set's with other identities."""
    real, found = sets["real"], {}
    if "holdout" in sets:
        control = compare(sets["holdout"].blocks, real.blocks, detector, title="holdout × real")
        found["holdout"] = control.best.logits[:, 0]
    identities = pd.factorize(pd.Series(real.manifest.identities))[0]
    if real.manifest.labelled and identities.max() > 0:
        others = compare(real.blocks, None, detector, query_identities=identities, title="chance matches").different
        assert others is not None
        found["chance"] = others.logits[:, 0]
    return found


def _calibration(real: FeatureSet, scores: dict[str, np.ndarray], detector: Detector, rate: float) -> Calibration:
    if "chance" in scores or "holdout" in scores:
        return calibrate(scores.get("chance"), scores.get("holdout"), rate)
    if len(real.blocks) < 3:
        raise LCMemError("fewer than 3 real pictures are too few to calibrate a threshold on; give --threshold")
    logits = random_pair_logits(real.blocks, detector)
    return calibrate_tail(logits, highest_score(real.blocks, detector), len(real.blocks), rate)


def random_pair_logits(features: ChunkedRows, detector: Detector) -> np.ndarray:
    """Scores of random pairs of different pictures of one set, features ``[N, D]``."""
    first, second = random_pairs(np.arange(len(features)))
    return score_pairs(features, first, second, detector)


def _match_table(synthetic: Manifest, real: Manifest, best: Best, threshold: float, detector: Detector) -> pd.DataFrame:
    count, k = best.logits.shape
    flat = best.logits.reshape(-1)
    chosen = real.table.iloc[best.positions.reshape(-1)]
    return pd.DataFrame(
        {
            "synthetic": np.repeat(np.array(synthetic.paths, dtype=object), k),
            "real": chosen["path"].to_numpy(),
            "identity": chosen["identity"].to_numpy(),
            "logit": flat,
            "probability": probabilities(flat, detector),
            "rank": np.tile(np.arange(1, k + 1), count),
            "match": flat >= threshold,
        }
    )


def _about(detector: Detector, sets: dict[str, FeatureSet]) -> dict[str, Any]:
    encoded = sum(found.encoded for found in sets.values())
    busy = sum(found.seconds for found in sets.values())
    real = sets["real"].manifest
    return {
        "n_real": len(real),
        "n_real_identities": int(pd.Series(real.identities).nunique()),
        "model": detector.name,
        "model_fingerprint": detector.fingerprint,
        "score": "similarity" if detector.head is None else "logit",
        "encoder": detector.encoder.card.name if isinstance(detector, LCMem) else None,
        "hint": face_hint(real.paths, detector),
        "pictures_encoded": encoded,
        "pictures_reused": sum(len(found.manifest) for found in sets.values()) - encoded,
        "pictures_per_second": encoded / busy if encoded else None,
    }
