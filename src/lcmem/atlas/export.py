"""An atlas for other search engines: the weights go into the features, so that plain Manhattan distance is the score.

``logit = bias − Σ_k |w_k u_k − w_k u'_k|``: an engine that knows the L1 distance needs to know nothing of the model.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.atlas.atlas import Atlas
from lcmem.detectors.lcmem import LCMem
from lcmem.errors import LCMemError, extra
from lcmem.files import replacing, write_json
from lcmem.progress import progress_bar

CARD, INDEX, ROWS = "export.json", "index.faiss", "rows.parquet"
NEIGHBOURS = 32
"""Links of a picture in the HNSW graph."""
CHUNK = 16384
"""Rows that are scaled at once."""


def scaled(features: np.ndarray, detector: LCMem) -> np.ndarray:
    """Features ``[N, D]`` times the head's weights, float32; queries need it as well as what is searched.

    Raises:
        LCMemError: A weight is negative (linear head).
    """
    weight = detector.weight.cpu().numpy()
    if (weight < 0).any():
        raise LCMemError(
            f"{detector.card['name']}: {int((weight < 0).sum())} of {len(weight)} weights of its linear head are "
            "negative: differences there bring pictures closer, so its score is no distance, and no engine can search "
            'for it; use lcmem search, or train with head = "metric"'
        )
    return np.ascontiguousarray(features * weight, dtype=np.float32)


def export_atlas(atlas: Atlas, detector: LCMem, kind: str, out: Path) -> None:
    """Write a folder for another engine.

    ``rows.parquet`` says what the rows are (for ``table`` with their vectors), ``index.faiss`` is the index (not for
    ``table``), ``export.json`` has the bias and the weights; it is written last: with it the export is whole.

    Args:
        atlas: What to export.
        detector: Its model.
        kind: ``faiss-flat`` (exact), ``faiss-hnsw`` (approximate) or ``table`` (Parquet).
        out: The folder.

    Raises:
        LCMemError: Another model's atlas, none of these kinds, negative weights, or faiss is not installed.
    """
    if kind not in ("faiss-flat", "faiss-hnsw", "table"):
        raise LCMemError(f"unknown format {kind!r}; choose faiss-flat, faiss-hnsw or table")
    atlas.check(detector)
    scaled(np.empty((0, atlas.dims)), detector)
    index = None if kind == "table" else _new_index(kind, atlas.dims)
    out.mkdir(parents=True, exist_ok=True)
    (out / CARD).unlink(missing_ok=True)
    (out / INDEX).unlink(missing_ok=True)
    if index is not None:
        _write_index(atlas, detector, index, out / INDEX)
    _write_rows(atlas, detector, out / ROWS, vectors=index is None)
    write_json(_card(atlas, detector, kind), out / CARD)


def _card(atlas: Atlas, detector: LCMem, kind: str) -> dict[str, Any]:
    return {
        "kind": "export",
        "version": 1,
        "format": kind,
        "model": atlas.model,
        "fingerprint": atlas.card.maker["fingerprint"],
        "pictures": len(atlas),
        "features": atlas.dims,
        "score": "logit = bias − L1 distance of features × weight",
        "bias": float(detector.bias),
        "weight": detector.weight.tolist(),
    }


def _new_index(kind: str, dimension: int) -> Any:
    with extra("faiss", "this format needs faiss"):
        import faiss
    if kind == "faiss-flat":
        return faiss.IndexFlat(dimension, faiss.METRIC_L1)
    return faiss.IndexHNSWFlat(dimension, NEIGHBOURS, faiss.METRIC_L1)


def _chunks(atlas: Atlas) -> Iterator[np.ndarray]:
    """Rows of the atlas, a part at a time, with a progress bar."""
    with progress_bar("exporting", len(atlas)) as advance:
        for start in range(0, len(atlas), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(atlas)))
            yield rows
            advance(len(rows))


def _write_index(atlas: Atlas, detector: LCMem, index: Any, path: Path) -> None:
    import faiss

    for rows in _chunks(atlas):
        index.add(scaled(atlas.features(rows), detector))
    with replacing(path) as partial:
        faiss.write_index(index, str(partial))


def _write_rows(atlas: Atlas, detector: LCMem, path: Path, *, vectors: bool) -> None:
    """``row, path, identity, dataset`` and, for engines that load tables, ``vector``."""
    fields = [pa.field("row", pa.int64()), *(pa.field(name, pa.string()) for name in ("path", "identity", "dataset"))]
    if vectors:
        fields.append(pa.field("vector", pa.list_(pa.float32(), atlas.dims)))
    schema, table = pa.schema(fields), atlas.table
    with replacing(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for rows in _chunks(atlas):
            columns = [pa.array(rows)]
            columns += [pa.array(table[name].iloc[rows].to_list(), pa.string()) for name in schema.names[1:4]]
            if vectors:
                flat = pa.array(scaled(atlas.features(rows), detector).reshape(-1))
                columns.append(pa.FixedSizeListArray.from_arrays(flat, atlas.dims))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
