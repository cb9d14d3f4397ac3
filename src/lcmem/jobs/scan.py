"""Two sets of pictures, or one with itself: every pair, and what was found as files (paper, section 4.4)."""

import functools
import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.atlas.atlas import Atlas
from lcmem.cluster.encode import encoded_distributed
from lcmem.cluster.scan import scan_distributed
from lcmem.detectors.base import Detector
from lcmem.errors import LCMemError
from lcmem.files import replacing, write_plot, write_table
from lcmem.jobs.compare import compare, probabilities
from lcmem.jobs.features import FeatureSet, extract_features, open_features
from lcmem.jobs.output import claim_output
from lcmem.jobs.scan_threshold import scan_threshold
from lcmem.pictures.manifest import Manifest
from lcmem.scan.chunked import ChunkedRows
from lcmem.scan.result import Histogram, ScanResult
from lcmem.stats.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN = 80
"""Bars of a drawn histogram, about; its bins are far finer."""


def scan_sets(
    queries: Manifest | Atlas,
    gallery: Manifest | Atlas | None,
    detector: Detector,
    out: Path,
    *,
    k: int = 5,
    threshold: float | None = None,
    workers: int | None = None,
    ray_workers: int | None = None,
) -> dict[str, Any]:
    """Score every pair and write what was found.

    Args:
        queries: Pictures, or an atlas.
        gallery: The same; None compares the queries with each other, each pair once.
        detector: The model.
        out: Folder for ``summary.json``, ``best.csv``, ``matches.parquet``, ``histogram.csv``, ``histogram.png``,
            ``skipped.csv``, and for the features of pictures. An interrupted scan goes on there.
        k: Best matches to keep for each query.
        threshold: Probability from which a pair is a match (of a detector without a head: its similarity); None
            calibrates it as an audit does.
        workers: Decoding processes.
        ray_workers: Workers of a Ray cluster to spread encoding and comparing over; None takes this process.

    Returns:
        The summary.
    """
    claim_output(out, "scan", {"queries": queries, "gallery": gallery})
    features = functools.partial(_features, detector=detector, out=out, workers=workers, ray_workers=ray_workers)
    one = features(queries)
    two = one if gallery is None else features(gallery)
    identities = _identity_numbers([one.manifest, two.manifest])
    calibration = scan_threshold(two, detector, threshold, workers)
    result = _compare(
        one.blocks,
        None if gallery is None else two.blocks,
        detector,
        out / "pass",
        ray_workers,
        k=k,
        threshold=calibration.logit,
        query_identities=identities[0],
        gallery_identities=None if gallery is None else identities[1],
    )
    paths = one.manifest.table["path"].to_numpy(), two.manifest.table["path"].to_numpy()
    write_table(_best_table(result, one.manifest, two.manifest, detector), out / "best.csv")
    _write_matches(result, *paths, out / "matches.parquet")
    write_table(_histogram_table(result.histogram), out / "histogram.csv")
    plot_histogram(result.histogram, calibration.logit, out / "histogram.png")
    skipped = pd.DataFrame([*one.skipped, *([] if gallery is None else two.skipped)], columns=["path", "reason"])
    write_table(skipped, out / "skipped.csv")
    summary = _summary(result, one.manifest, two.manifest, detector, calibration, len(skipped))
    with replacing(out / "summary.json") as partial:
        partial.write_text(json.dumps(summary, indent=2), encoding="utf-8")
    return summary


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
    numbers = pd.factorize(names.where(names != ""))[0].astype(np.int64)
    return [numbers[: len(manifests[0])], numbers[len(manifests[0]) :]]


def _best_table(result: ScanResult, queries: Manifest, gallery: Manifest, detector: Detector) -> pd.DataFrame:
    query, rank = np.nonzero(result.best.positions >= 0)
    at, logits = result.best.positions[query, rank], result.best.logits[query, rank]
    mine, other = queries.table.iloc[query], gallery.table.iloc[at]
    columns = {"query": mine["path"].to_numpy(), "gallery": other["path"].to_numpy(), "rank": rank + 1}
    names = {"query_identity": mine["identity"].to_numpy(), "gallery_identity": other["identity"].to_numpy()}
    return pd.DataFrame({**columns, **names, "logit": logits, "probability": probabilities(logits, detector)})


def _write_matches(result: ScanResult, queries: np.ndarray, gallery: np.ndarray, target: Path) -> None:
    """All matches with paths, one spilled file at a time, so that millions of them need no memory."""
    schema = pa.schema(
        [("query", pa.string()), ("gallery", pa.string()), ("logit", pa.float64()), ("kind", pa.string())]
    )
    with replacing(target) as partial, pq.ParquetWriter(partial, schema) as writer:
        for part in result.match_chunks():
            columns = {"query": queries[part["query"]], "gallery": gallery[part["gallery"]], "logit": part["logit"]}
            writer.write_table(pa.table({**columns, "kind": part["kind"].astype(str)}, schema=schema))


def _histogram_table(histogram: Histogram) -> pd.DataFrame:
    return pd.DataFrame({"from": histogram.edges[:-1], "to": histogram.edges[1:], **histogram.counts})


def _summary(
    result: ScanResult, queries: Manifest, gallery: Manifest, detector: Detector, calibration: Calibration, skipped: int
) -> dict[str, Any]:
    failures = result.failures
    return {
        "model": detector.name,
        "fingerprint": detector.fingerprint,
        "queries": len(queries),
        "gallery": len(gallery),
        "pairs": result.pairs,
        "threshold": None if detector.head is None else calibration.probability,
        "threshold_logit": calibration.logit if isfinite(calibration.logit) else None,
        "threshold_method": calibration.method,
        "threshold_explanation": calibration.explanation,
        "false_positive_rate": calibration.rate,
        "false_positive_rate_bound": calibration.bound,
        "matches": result.match_counts,
        "pairs_of_each_kind": {kind: int(counts.sum()) for kind, counts in result.histogram.counts.items()},
        "queries_with_a_match": int((result.best.logits[:, 0] >= calibration.logit).sum()),
        "queries_that_match_another_identity": None if failures is None else len(failures),
        "histogram_error": result.histogram.error,
        "skipped": skipped,
    }


def plot_histogram(histogram: Histogram, threshold: float, target: Path) -> None:
    """Scores of all pairs by kind, with the threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    draw_histogram(axes, histogram, threshold)
    axes.set(xlabel="logit (right: more alike)", ylabel="share of pairs")
    write_plot(figure, target)


def draw_histogram(axes: "Axes", histogram: Histogram, threshold: float) -> None:
    """Scores of all pairs by kind, each kind as a share of its own (paper, figure 6)."""
    filled = np.flatnonzero(sum(histogram.counts.values()))
    first, last = (int(filled[0]), int(filled[-1])) if len(filled) else (0, 0)
    starts = np.arange(first, last + 1, max(1, (last + 1 - first) // DRAWN))
    for kind, colour in (("same", "#2471a3"), ("different", "#c0392b"), ("unknown", "#7f8c8d")):
        counts = histogram.counts[kind]
        if counts.sum():
            label = f"{kind} identity ({counts.sum():,} pairs)"
            shares = np.add.reduceat(counts[: last + 1], starts) / counts.sum()
            edges = histogram.edges[[*starts, last + 1]]
            axes.stairs(shares, edges, color=colour, fill=True, alpha=0.4, label=label)
    axes.axvline(threshold, color="black", lw=1, ls="--", label="threshold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
