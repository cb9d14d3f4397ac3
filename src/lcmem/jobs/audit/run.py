"""The audit from end to end."""

import os
import platform
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import lcmem
from lcmem.detectors.base import Detector
from lcmem.detectors.lcmem import LCMem
from lcmem.jobs.audit.doubts import doubtful_names, doubtful_sheets
from lcmem.jobs.audit.findings import compare_sets
from lcmem.jobs.audit.marks import FILE as MARKED
from lcmem.jobs.audit.marks import read_marks
from lcmem.jobs.audit.other_models import other_model
from lcmem.jobs.audit.private import check_private, leave_no_features, without_names
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.audit.settings import AuditSettings
from lcmem.jobs.audit.sources import Source, counted, on_disk
from lcmem.jobs.explain import explain_matches
from lcmem.jobs.output import claim_output
from lcmem.matching.asked import Asked
from lcmem.matching.calibration_file import CalibrationFile
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_sets, open_features, read_sources
from lcmem.matching.transfer import with_finder
from lcmem.stats.calibration import DEFAULT_RATE


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
    calibration: str | os.PathLike[str] | None = None,
    explain: int = 0,
    private: bool = False,
) -> AuditResult:
    """Compare every synthetic picture with every real one.

    Args:
        real: The generator's training pictures: a folder, a zip file, a CSV or Parquet table, a Manifest; a list of
            paths or PIL pictures, an array ``[N, H, W, 3]`` or a tensor ``[N, 3, H, W]``, uint8 or in [0, 1]; or an
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
        calibration: A file that ``lcmem calibrate`` wrote: its thresholds are taken and it is cited, in place of
            calibrating anew; ``false_positive_rate`` then says nothing.
        explain: Of how many of the strongest matches of each verdict the report shows where the evidence lies; a
            hundred encodings each.
        private: Whether to write hashes in place of names and no picture, see :mod:`lcmem.jobs.audit.private`.

    Returns:
        The result; it is already saved if ``out`` was given.

    Raises:
        LCMemError: No usable picture in one of the sets, a threshold or a rate outside its range, …
    """
    given = {"real": real, "synthetic": synthetic, "holdout": holdout}
    inputs = {name: counted(source) for name, source in given.items()}
    settings = AuditSettings(
        model=model,
        asked=Asked(
            threshold=threshold,
            calibration=None if calibration is None else CalibrationFile.read(calibration),
            false_positive_rate=false_positive_rate,
        ),
        top_k=top_k,
        device=device,
        workers=workers,
        allow_download=allow_download,
        explain=explain,
        private=private,
    )
    if out is None:
        return run_audit(inputs, settings, None)
    with claim_audit(out, inputs, settings):
        return run_audit(inputs, settings, out)


def claim_audit(
    out: str | os.PathLike[str], inputs: Mapping[str, Any], settings: AuditSettings
) -> AbstractContextManager[Path]:
    """Have a folder for an audit to oneself, as by :func:`lcmem.jobs.output.claim_output`.

    Raises:
        LCMemError: It holds other results, or one of the inputs; or, for a private audit, an open one.
    """
    if settings.private:
        check_private(Path(out))
    return claim_output(out, "audit", inputs, hidden=settings.private)


def run_audit(
    inputs: Mapping[str, Source | None], settings: AuditSettings, out: str | os.PathLike[str] | None
) -> AuditResult:
    """Audit with settings that were made before, into a folder that is claimed already.

    Args:
        inputs: ``real``, ``synthetic`` and ``holdout``, as of :func:`audit`; None where there is none.
        settings: The options.
        out: As of :func:`audit`.

    Raises:
        LCMemError: As of :func:`audit`.
    """
    began = time.perf_counter()
    if out is not None and (Path(out) / MARKED).is_file():
        read_marks(Path(out) / MARKED)  # a mistake there is said now, not when all is computed
    detector, file = settings.detector, settings.asked.calibration
    if settings.private and file is not None:
        file = replace(file, place="file")
        settings = replace(settings, asked=replace(settings.asked, calibration=file))
    with on_disk(inputs, None if settings.private else out) as found:
        sources = read_sources(found)
        doubts = doubtful_names(inputs) + doubtful_sheets(sources["real"], sources["synthetic"]) + _doubts(sources)
        store = open_features(None if out is None else Path(out) / "features", detector)
        sets = extract_sets(sources, detector, store, workers=settings.workers, named=not settings.private)
        others = [features for name, features in sets.items() if name != "real"]
        sets["real"], finder = with_finder(
            sets["real"], detector, file, others=others, store=store, workers=settings.workers
        )
        about = _about(detector, sets) | settings.about() | {"warnings": doubts + _doubts(sets)}
        result = compare_sets(sets, finder, settings, about)
        result = replace(result, about=result.about | {"seconds": time.perf_counter() - began})
        if settings.private:
            result = without_names(result, sets)
        elif settings.explain:
            found_maps = explain_matches(detector, result.to_frame(), settings.explain)
            result = replace(result, evidence=found_maps)
        if out is not None:
            result.save(out)
    if out is not None and settings.private:
        leave_no_features(Path(out))
    return result


def _doubts(sets: Mapping[str, Any]) -> list[str]:
    """What was doubtful about sets when they were read; of an atlas that is not known any more."""
    return [f"{name}: {each.doubt}" for name, each in sets.items() if getattr(each, "doubt", "")]


def _about(detector: Detector, sets: dict[str, FeatureSet]) -> dict[str, Any]:
    encoded = sum(found.encoded for found in sets.values())
    busy = sum(found.seconds for found in sets.values())
    real, encoder = sets["real"].manifest, detector.encoder.card if isinstance(detector, LCMem) else None
    return {
        "n_real": len(real),
        "n_real_identities": real.known_identities,
        "model": detector.name,
        "model_fingerprint": detector.fingerprint,
        "score": detector.unit,
        "encoder": encoder.name if encoder else None,
        "encoder_sha256": encoder.sha256 if encoder else None,
        "hint": other_model(sets["real"], detector),
        "pictures_encoded": encoded,
        "pictures_reused": sum(len(found.manifest) for found in sets.values()) - encoded,
        "pictures_per_second": encoded / busy if encoded else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"lcmem": lcmem.__version__, "python": platform.python_version(), "torch": torch.__version__},
        "fingerprints": {name: found.fingerprint for name, found in sets.items()},
    }
