"""The audit from end to end."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from lcmem.atlas import Atlas
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError
from lcmem.jobs.audit_result import AuditResult
from lcmem.jobs.features import FeatureSet, extract_features, open_features, read_source
from lcmem.pictures.manifest import Manifest, ManifestLike
from lcmem.scan import Best, Blocks, scan
from lcmem.scan.exact import sampled_logits
from lcmem.stats.calibration import DEFAULT_RATE, Calibration, calibrate, calibrate_tail, given_threshold
from lcmem.stats.rates import excess, wilson

TAIL_PAIRS = 500_000
"""Random pairs from which the scatter of unrelated pictures is measured when there are no identities."""


def audit(
    real: ManifestLike | Atlas,
    synthetic: ManifestLike | Atlas,
    *,
    holdout: ManifestLike | Atlas | None = None,
    model: str | os.PathLike[str] | LCMem = "compact",
    threshold: float | None = None,
    false_positive_rate: float = DEFAULT_RATE,
    top_k: int = 5,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    workers: int | None = None,
) -> AuditResult:
    """Compare every synthetic picture with every real one.

    Args:
        real: The generator's training pictures: a folder, a zip file, a CSV or Parquet table, a Manifest; or an
            atlas, whose identities and features are taken as they are, whether the pictures are here or not.
        synthetic: The generated pictures, likewise.
        holdout: Real pictures of identities that the generator never saw, likewise.
        model: A bundled model's name, a checkpoint's folder, or a loaded detector.
        threshold: Probability in [0, 1] from which a pair is a match; None calibrates it.
        false_positive_rate: What to calibrate for: share of pictures of unseen identities that may match by chance.
        top_k: Best matches to keep for each synthetic picture.
        out: Where to write features (so that a run can be resumed), tables and report; None writes nothing.
        device: ``cpu``, ``cuda`` or ``mps``, or several to encode on: ``cuda:0,cuda:1``.
        workers: Decoding processes.

    Returns:
        The result; it is already saved if ``out`` was given.

    Raises:
        LCMemError: No usable picture in one of the sets, a threshold or a rate outside its range, …
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise LCMemError(f"the threshold is a probability in [0, 1], not {threshold}")
    if not 0 < false_positive_rate < 1:
        raise LCMemError(f"the false positive rate must lie between 0 and 1, not {false_positive_rate}")
    if top_k < 1:
        raise LCMemError(f"top_k must be at least 1, not {top_k}")
    began = time.perf_counter()
    detector = model if isinstance(model, LCMem) else LCMem.load(model, device=device)
    sources = {"real": read_source(real), "synthetic": read_source(synthetic)}
    if holdout is not None:
        sources["holdout"] = read_source(holdout)
        shared = set(sources["holdout"].paths) & set(sources["real"].paths)
        if shared:
            raise LCMemError(f"{len(shared)} pictures are in the real set and in the holdout, e.g. {min(shared)}")
    store = None if out is None else open_features(Path(out) / "features", detector)
    sets = {
        name: extract_features(source, detector, store, title=f"encoding {name}", workers=workers)
        for name, source in sources.items()
    }
    for name, found in sets.items():
        if not len(found.manifest):
            raise LCMemError(f"none of the {len(sources[name])} {name} pictures can be used: {found.skipped[0][1]}")
    result = _compare(sets, detector, threshold, false_positive_rate, top_k)
    _describe(result, detector, sets, time.perf_counter() - began)
    if out is not None:
        result.save(out)
    return result


def _compare(
    sets: dict[str, FeatureSet], detector: LCMem, threshold: float | None, rate: float, top_k: int
) -> AuditResult:
    weight, bias = detector.weight.cpu(), detector.bias.cpu()
    real, synthetic = sets["real"], sets["synthetic"]
    k = min(top_k, len(real.blocks))
    best = scan(synthetic.blocks, real.blocks, weight, bias, k=k, title="synthetic × real").best
    scores = {"synthetic": best.logits[:, 0]}
    if "holdout" in sets:
        control_scan = scan(sets["holdout"].blocks, real.blocks, weight, bias, title="holdout × real")
        scores["holdout"] = control_scan.best.logits[:, 0]
    calibration = _calibration(real, scores, weight, bias, threshold, rate)
    memorization = wilson(int((scores["synthetic"] >= calibration.logit).sum()), len(scores["synthetic"]))
    control = None
    if "holdout" in scores:
        control = wilson(int((scores["holdout"] >= calibration.logit).sum()), len(scores["holdout"]))
    return AuditResult(
        matches=_match_table(synthetic.manifest, real.manifest, best, calibration.logit),
        calibration=calibration,
        memorization=memorization,
        holdout=control,
        excess=excess(memorization, control) if control else None,
        skipped=pd.DataFrame(
            [(name, *item) for name, found in sets.items() for item in found.skipped], columns=["set", "path", "reason"]
        ),
        scores=scores,
    )


def _calibration(
    real: FeatureSet,
    scores: dict[str, np.ndarray],
    weight: Tensor,
    bias: Tensor,
    threshold: float | None,
    rate: float,
) -> Calibration:
    """The operating point; adds the real set's chance matches to ``scores`` where identities are known."""
    identities = pd.factorize(pd.Series(real.manifest.identities))[0]
    if real.manifest.labelled and identities.max() > 0:
        others = scan(real.blocks, None, weight, bias, query_codes=identities, title="chance matches").different
        assert others is not None
        scores["chance"] = others.logits[:, 0]
    if threshold is not None:
        return given_threshold(threshold)
    if "chance" in scores or "holdout" in scores:
        return calibrate(scores.get("chance"), scores.get("holdout"), rate)
    if len(real.blocks) < 3:
        raise LCMemError("fewer than 3 real pictures are too few to calibrate a threshold on; give --threshold")
    return calibrate_tail(random_pair_logits(real.blocks, weight, bias), float(bias), len(real.blocks), rate)


def random_pair_logits(features: Blocks, weight: Tensor, bias: Tensor) -> np.ndarray:
    """Logits of :data:`TAIL_PAIRS` random pairs of different pictures of one set, features ``[N, D]``."""
    rng = np.random.default_rng(0)
    first = rng.integers(len(features), size=TAIL_PAIRS)
    second = (first + rng.integers(1, len(features), size=TAIL_PAIRS)) % len(features)
    return sampled_logits(features, first, second, weight, bias)


def _match_table(synthetic: Manifest, real: Manifest, best: Best, threshold: float) -> pd.DataFrame:
    count, k = best.logits.shape
    flat = best.logits.reshape(-1)
    chosen = real.table.iloc[best.positions.reshape(-1)]
    return pd.DataFrame(
        {
            "synthetic": np.repeat(np.array(synthetic.paths, dtype=object), k),
            "real": chosen["path"].to_numpy(),
            "identity": chosen["identity"].to_numpy(),
            "logit": flat,
            "probability": 1 / (1 + np.exp(-flat)),
            "rank": np.tile(np.arange(1, k + 1), count),
            "match": flat >= threshold,
        }
    )


def _describe(result: AuditResult, detector: LCMem, sets: dict[str, FeatureSet], seconds: float) -> None:
    encoded = sum(found.encoded for found in sets.values())
    busy = sum(found.seconds for found in sets.values())
    result.about.update(
        n_real=len(sets["real"].manifest),
        n_real_identities=int(pd.Series(sets["real"].manifest.identities).nunique()),
        model=detector.card["name"],
        model_fingerprint=detector.fingerprint,
        encoder=detector.encoder.card.name,
        pictures_encoded=encoded,
        pictures_reused=sum(len(found.manifest) for found in sets.values()) - encoded,
        pictures_per_second=encoded / busy if encoded else None,
        seconds=seconds,
    )
