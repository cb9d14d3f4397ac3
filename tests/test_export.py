"""Claims: what another engine finds by Manhattan distance is what the scan finds, with the same score."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from commands import lcmem
from lcmem.atlas import Atlas, export
from lcmem.atlas.export import export_atlas, scaled
from lcmem.errors import LCMemError
from lcmem.pictures.manifest import Manifest
from lcmem.scan import scan
from lcmem.store import Card

COUNT = 300


@pytest.fixture(params=[300, 64], ids=["one shard", "several shards and chunks"])
def atlas(tmp_path, compact, rng, request, monkeypatch):
    """Random features: in a real atlas the neighbours of a picture are much easier to find."""
    monkeypatch.setattr("lcmem.atlas.card.Card", partial(Card, shard_rows=request.param))
    monkeypatch.setattr(export, "CHUNK", request.param)
    made = Atlas.create(tmp_path / "atlas", compact)
    paths = [f"{k}.png" for k in range(COUNT)]
    table = pd.DataFrame({"path": paths, "identity": [f"p{k // 3}" for k in range(COUNT)], "split": "", "dataset": "d"})
    contents = pd.DataFrame({"stamp": paths, "sha256": paths})
    features = rng.random((COUNT, 512), dtype=np.float32)
    for start in range(0, COUNT, request.param):
        rows = range(start, min(start + request.param, COUNT))
        made.append(Manifest(table).rows(rows), features[rows], contents.iloc[list(rows)])
    return made


@pytest.fixture
def queries(rng):
    return rng.random((20, 512), dtype=np.float32)


def exact(atlas, compact, queries, k=10):
    best = scan(queries, atlas.blocks(), compact.head, k=k).best
    return best.logits, best.positions


def test_faiss_flat_finds_the_same_with_the_same_score(atlas, compact, queries, tmp_path):
    faiss = pytest.importorskip("faiss")
    export_atlas(atlas, compact, "faiss-flat", tmp_path / "out")
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    card = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    distances, found = index.search(queries * np.array(card["weight"], dtype=np.float32), 10)
    logits, rows = exact(atlas, compact, queries)
    np.testing.assert_array_equal(found, rows)
    np.testing.assert_allclose(card["bias"] - distances, logits, atol=1e-4, rtol=0)
    listed = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert listed["path"].tolist() == atlas.paths.tolist() and listed["row"].tolist() == list(range(COUNT))
    assert card["fingerprint"] == compact.fingerprint and card["pictures"] == COUNT


def test_faiss_hnsw_misses_some_but_scores_right(atlas, compact, queries, tmp_path):
    faiss = pytest.importorskip("faiss")
    export_atlas(atlas, compact, "faiss-hnsw", tmp_path / "out")
    index = faiss.read_index(str(tmp_path / "out" / "index.faiss"))
    index.hnsw.efSearch = 128
    distances, found = index.search(scaled(queries, compact), 10)
    logits, rows = exact(atlas, compact, queries, k=COUNT)
    for k in range(len(queries)):
        position = {row: at for at, row in enumerate(rows[k])}
        expected = logits[k][[position[row] for row in found[k]]]
        np.testing.assert_allclose(float(compact.bias) - distances[k], expected, atol=1e-4, rtol=0)
    shared = np.mean([len(set(a) & set(b[:10])) / 10 for a, b in zip(found, rows, strict=True)])
    assert shared > 0.8


def test_table_round_trip(atlas, compact, queries, tmp_path):
    export_atlas(atlas, compact, "table", tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "rows.parquet")
    assert table.schema.field("vector").type.list_size == 512
    assert table["path"].to_pylist() == atlas.paths.tolist() and table["identity"].to_pylist()[4] == "p1"
    vectors = np.stack(table["vector"].to_numpy())
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, scaled(atlas.features(), compact))
    distance = np.abs(vectors[None] - scaled(queries, compact)[:, None]).sum(-1)
    logits, rows = exact(atlas, compact, queries)
    np.testing.assert_array_equal(distance.argsort(1)[:, :10], rows)
    np.testing.assert_allclose(float(compact.bias) - np.sort(distance)[:, :10], logits, atol=1e-4, rtol=0)
    assert not (tmp_path / "out" / "index.faiss").exists()


def test_a_linear_head_is_no_metric(atlas, compact, tmp_path):
    weight = compact.weight.clone()
    weight[3] = -0.1
    linear = SimpleNamespace(
        weight=weight, bias=compact.bias, card=compact.card, fingerprint=compact.fingerprint, name="linear", dims=512
    )
    with pytest.raises(LCMemError, match=r"1 of 512 weights.*negative.*no distance.*metric"):
        export_atlas(atlas, linear, "table", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_format_and_another_model(atlas, compact, tmp_path):
    with pytest.raises(LCMemError, match="faiss-flat, faiss-hnsw or table"):
        export_atlas(atlas, compact, "csv", tmp_path / "out")
    other = SimpleNamespace(
        weight=compact.weight, bias=compact.bias, card={"name": "other"}, fingerprint="b" * 64, name="other", dims=512
    )
    with pytest.raises(LCMemError, match="another model"):
        export_atlas(atlas, other, "table", tmp_path / "out")


def test_the_command_takes_every_name_of_a_model(atlas, weights, tmp_path):
    def export(model):
        return lcmem("atlas", "export", atlas.folder, "--model", model, "--out", tmp_path / model.partition("=")[0])

    assert export(f"mine={weights}").returncode == 0 and (tmp_path / "mine" / "rows.parquet").is_file()
    assert export("mine=" + weights).returncode == 0, "an earlier export is replaced"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    full = export(f"full={weights}")
    assert full.returncode == 1 and "holds other files" in full.stderr
    other = export("phash")
    assert other.returncode == 1 and "only the features of LCMem's models" in other.stderr


def test_without_faiss_it_says_what_to_install(atlas, compact, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(LCMemError, match=r"pip install 'lcmem\[faiss\]'"):
        export_atlas(atlas, compact, "faiss-flat", tmp_path / "out")
