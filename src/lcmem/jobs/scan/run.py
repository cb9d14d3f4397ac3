"""Two sets of pictures, or one with itself: every pair, and what was found as files (paper, section 4.4)."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lcmem.atlas.atlas import Atlas
from lcmem.cluster.encode import encoded_distributed
from lcmem.cluster.scan import scan_distributed
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import write_json, write_table
from lcmem.jobs.output import claim_output
from lcmem.jobs.scan.tables import best_table, histogram_table, summary, write_matches
from lcmem.jobs.scan.threshold import scan_threshold
from lcmem.matching.asked import USUAL, Asked
from lcmem.matching.compare import compare
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.manifest import Manifest, known_numbers
from lcmem.pictures.set_depth import same_depth
from lcmem.report.histogram import plot_histogram
from lcmem.scan.chunked import ChunkedRows
from lcmem.scan.result import RESULT, ScanResult


def scan_sets(
    queries: Manifest | Atlas,
    gallery: Manifest | Atlas | None,
    detector: Detector,
    out: Path,
    *,
    k: int = 5,
    asked: Asked = USUAL,
    workers: int | None = None,
    ray_workers: int | None = None,
) -> dict[str, Any]:
    """Score every pair and write what was found.

    Args:
        queries: Pictures, or an atlas.
        gallery: The same; None compares the queries with each other, each pair once.
        detector: The model.
        out: Folder for ``summary.json``, ``best.csv``, ``matches.parquet``, ``histogram.csv``, ``histogram.png``,
            ``skipped.csv``, what :meth:`lcmem.scan.ScanResult.load` reads, and for the features of pictures. An
            interrupted scan goes on there.
        k: Best matches to keep for each query.
        asked: From which score on pairs match; what is calibrated is so on the gallery, as an audit does.
        workers: Decoding processes.
        ray_workers: Workers of a Ray cluster to spread encoding and comparing over; None takes this process.

    Returns:
        The summary.
    """
    asked.given(detector)
    features = functools.partial(_features, detector=detector, out=out, workers=workers, ray_workers=ray_workers)
    with claim_output(out, "scan", {"queries": queries, "gallery": gallery}):
        sets = same_depth({"queries": queries} if gallery is None else {"queries": queries, "gallery": gallery})
        one = features(sets["queries"])
        two = features(sets["gallery"]) if "gallery" in sets else one
        for name, found in (("query", one), ("gallery", two)):
            found.check_usable(name)
        identities = _identity_numbers([one.manifest, two.manifest])
        passed = out / "pass"
        if not (passed.is_dir() and any(passed.iterdir())):  # else it may belong to another scan, which refuses this
            _forget(out)
        point = scan_threshold(two, detector, asked, workers)
        result = _compare(
            one.blocks,
            None if gallery is None else two.blocks,
            detector,
            passed,
            ray_workers,
            k=k,
            threshold=point.logit,
            query_identities=identities[0],
            gallery_identities=None if gallery is None else identities[1],
        )
        _forget(out)
        skipped = pd.DataFrame([*one.skipped, *([] if gallery is None else two.skipped)], columns=["path", "reason"])
        numbers = summary(result, one.manifest, two.manifest, detector, point, len(skipped))
        _write(result, one.manifest, two.manifest, detector, point.logit, out)
        write_table(skipped, out / "skipped.csv")
        write_json(numbers, out / "summary.json")
        return numbers


def _forget(out: Path) -> None:
    """Delete what stands beside a complete result only."""
    for old in (RESULT, "summary.json"):
        (out / old).unlink(missing_ok=True)


def _write(result: ScanResult, one: Manifest, two: Manifest, detector: Detector, level: float, out: Path) -> None:
    """The tables and the plot of a scan."""
    paths = one.table["path"].to_numpy(), two.table["path"].to_numpy()
    write_table(best_table(result, one, two, detector), out / "best.csv")
    write_matches(result, *paths, out / "matches.parquet")
    write_table(histogram_table(result.histogram), out / "histogram.csv")
    plot_histogram(result.histogram, level, detector.unit, out / "histogram.png")
    result.save(out)


def _compare(
    queries: ChunkedRows,
    gallery: ChunkedRows | None,
    detector: Detector,
    out: Path,
    ray_workers: int | None,
    **options: Any,
) -> ScanResult:
    """Resumable in ``out`` and spread over Ray workers where the detector has a head."""
    if detector.head is None:
        if ray_workers is not None:
            raise LCMemError(f"{detector.name}: a cluster compares by a head, which it lacks; leave --ray out")
        return compare(queries, gallery, detector, **options)
    device = str(detector.head.weight.device)
    if ray_workers is None:
        return compare(queries, gallery, detector, out=out, device=device, **options)
    return scan_distributed(queries, gallery, detector.head, ray_workers=ray_workers, out=out, device=device, **options)


def _features(
    source: Manifest | Atlas, detector: Detector, out: Path, workers: int | None, ray_workers: int | None
) -> FeatureSet:
    """Features of pictures are stored first, so that none is encoded twice."""
    if isinstance(source, Atlas) or not detector.fingerprint:
        return extract_features(source, detector, None, workers=workers)
    encode = None if ray_workers is None else encoded_distributed(detector, ray_workers)
    store = open_features(out / "features", detector)
    return extract_features(source, detector, store, workers=workers, encode=encode)


def _identity_numbers(manifests: Sequence[Manifest]) -> list[np.ndarray | None]:
    """Identities of both sets as integers, −1 where unknown; None if none is known in either."""
    if not all(manifest.labelled for manifest in manifests):
        return [None, None]
    names = pd.concat([manifest.table["identity"] for manifest in manifests], ignore_index=True)
    numbers = known_numbers(names)
    return [numbers[: len(manifests[0])], numbers[len(manifests[0]) :]]
