"""What a scan found, as tables and as a summary."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.detectors.base import Detector
from lcmem.files import finite, replacing
from lcmem.matching.compare import probabilities
from lcmem.pictures.manifest import Manifest
from lcmem.scan.result import Histogram, ScanResult
from lcmem.stats.calibration import Calibration


def best_table(result: ScanResult, queries: Manifest, gallery: Manifest, detector: Detector) -> pd.DataFrame:
    """The k best matches of each query, best first: both paths and identities, rank, logit and probability."""
    query, rank = np.nonzero(result.best.positions >= 0)
    at, logits = result.best.positions[query, rank], result.best.logits[query, rank]
    mine, other = queries.table.iloc[query], gallery.table.iloc[at]
    columns = {"query": mine["path"].to_numpy(), "gallery": other["path"].to_numpy(), "rank": rank + 1}
    names = {"query_identity": mine["identity"].to_numpy(), "gallery_identity": other["identity"].to_numpy()}
    return pd.DataFrame({**columns, **names, "logit": logits, "probability": probabilities(logits, detector)})


def write_matches(result: ScanResult, queries: np.ndarray, gallery: np.ndarray, target: Path) -> None:
    """Write all matches with paths as Parquet, one spilled file at a time, so that millions of them need no memory."""
    schema = pa.schema(
        [("query", pa.string()), ("gallery", pa.string()), ("logit", pa.float64()), ("kind", pa.string())]
    )
    with replacing(target) as partial, pq.ParquetWriter(partial, schema) as writer:
        for part in result.match_chunks():
            columns = {"query": queries[part["query"]], "gallery": gallery[part["gallery"]], "logit": part["logit"]}
            writer.write_table(pa.table({**columns, "kind": part["kind"].astype(str)}, schema=schema))


def histogram_table(histogram: Histogram) -> pd.DataFrame:
    """How many pairs of each kind score between ``from`` and ``to``."""
    return pd.DataFrame({"from": histogram.edges[:-1], "to": histogram.edges[1:], **histogram.counts})


def summary(
    result: ScanResult, queries: Manifest, gallery: Manifest, detector: Detector, calibration: Calibration, skipped: int
) -> dict[str, Any]:
    """What ``summary.json`` says.

    Args:
        result: Scores of all pairs.
        queries: The pictures compared.
        gallery: What they were compared with.
        detector: The model.
        calibration: The threshold that counts.
        skipped: How many pictures could not be used.
    """
    failures = result.failures
    return {
        "model": detector.name,
        "fingerprint": detector.fingerprint,
        "queries": len(queries),
        "gallery": len(gallery),
        "pairs": result.pairs,
        "threshold": None if detector.head is None else calibration.probability,
        "threshold_logit": finite(calibration.logit),
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
