"""Claims: whatever a scan reports is what scoring every pair would give, to the last bit, however the work is cut."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lcmem.errors import LCMemError
from lcmem.scan import Best, engine, exact, inputs, scan, state
from lcmem.scan.result import ScanResult
from lcmem.stats.groups import connected_components
from scan_reference import BACKENDS, assert_is_reference, head, masks, reference, use

CASES = {
    "random": lambda rng, n, d: (rng.random((n, d)), rng.uniform(0.03, 0.05, d)),
    "negative weights": lambda rng, n, d: (rng.random((n, d)), rng.normal(size=d)),
    "ties": lambda rng, n, d: (rng.integers(0, 2, (n, d)), np.ones(d)),
    "equal vectors": lambda rng, n, d: (np.repeat(rng.random((1, d)), n, 0), rng.random(d)),
    "few different vectors": lambda rng, n, d: (rng.random((3, d))[rng.integers(0, 3, n)], rng.random(d)),
    "edges of levels": lambda rng, n, d: ((rng.integers(0, 255, (n, d)) + 0.5) / 255, np.ones(d)),
    "beside edges, weights of either sign": lambda rng, n, d: (
        (rng.integers(0, 3, (n, d)) + rng.choice([0.49, 0.5, 0.51], (n, d))) / 255,
        rng.choice([-1, 1], d),
    ),
    "all weights zero": lambda rng, n, d: (rng.random((n, d)), np.zeros(d)),
    "one dominating weight": lambda rng, n, d: (rng.random((n, d)), np.r_[1e4, rng.random(d - 1)]),
    "tiny weights": lambda rng, n, d: (rng.random((n, d)), rng.random(d) * 1e-30),
    "a hair apart": lambda rng, n, d: (0.5 + 1e-7 * rng.random((n, d)), rng.random(d)),
}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=st.sampled_from(sorted(CASES)),
    backend=st.sampled_from(sorted(BACKENDS)),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 60), st.integers(1, 80)),
    k=st.integers(1, 5),
    quantile=st.floats(0, 1),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    chunk=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_scan_is_brute_force(monkeypatch, case, backend, sizes, k, quantile, tile, chunk, seed):
    rng = np.random.default_rng(seed)
    count, rows, features = sizes
    values, weight = CASES[case](rng, count + rows, features)
    values, weight = values.astype(np.float32), weight.astype(np.float32)
    queries, gallery = values[:count], values[count:]
    codes = rng.integers(-1, 4, count), rng.integers(-1, 4, rows)
    logits = reference(queries, gallery, weight, 3.0)
    threshold = float(np.quantile(logits, quantile))
    cut = rng.integers(0, rows + 1)
    with monkeypatch.context() as patch:
        use(patch, backend, tile)
        patch.setattr(inputs, "CHUNK", chunk)
        patch.setattr(engine, "PENDING", int(rng.integers(0, 200)))
        blocks = [gallery[:cut], gallery[cut:]]
        found = scan(
            queries,
            blocks,
            head(weight, 3.0),
            k=k,
            threshold=threshold,
            query_identities=codes[0],
            gallery_identities=codes[1],
        )
    assert_is_reference(found, logits, k, threshold, masks(*codes), np.ones_like(logits, dtype=bool))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    case=st.sampled_from(sorted(CASES)),
    backend=st.sampled_from(sorted(BACKENDS)),
    count=st.integers(1, 60),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    chunk=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_set_with_itself_counts_each_pair_once(monkeypatch, case, backend, count, tile, chunk, seed):
    rng = np.random.default_rng(seed)
    values, weight = (part.astype(np.float32) for part in CASES[case](rng, count, 20))
    codes = rng.integers(-1, 4, count)
    logits = reference(values, values, weight, 3.0)
    np.fill_diagonal(logits, -np.inf)
    counted = np.triu(np.ones_like(logits, dtype=bool), 1)
    threshold = float(np.quantile(logits[counted], 0.7)) if counted.any() else 0.0
    with monkeypatch.context() as patch:
        use(patch, backend, tile)
        patch.setattr(inputs, "CHUNK", chunk)
        blocks = np.split(values, np.sort(rng.integers(0, count + 1, 2)))
        found = scan(blocks, None, head(weight, 3.0), k=2, threshold=threshold, query_identities=codes)
    kinds = {name: mask & ~np.eye(count, dtype=bool) for name, mask in masks(codes, codes).items()}
    assert_is_reference(found, logits, 2, threshold, kinds, counted)


def misleading():
    """A query, and rows whose order in levels is the opposite of the true one, by far more than the rows' radii.

    In 63 dimensions the query is just below half a level, so it rounds down, to where the first row lies. The second
    row lies one level up, which is hardly farther, and is nearer in the last dimension. The distant row is rounded like
    the second one, but far from everything that could be among the best.
    """
    query = np.r_[np.full(63, 0.49), 100.0]
    wrong, right = np.r_[np.zeros(63), 97.0], np.r_[np.ones(63), 100.0]
    far, distant = np.full(64, 200.0), np.r_[np.ones(63), 250.0]
    return tuple((part[None] / 255).astype(np.float32) for part in (query, wrong, right, far, distant))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("tile", [1, 2, 5, 100])
@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("pending", [0, 1000])
def test_the_radius_of_the_query_counts(backend, tile, chunk, pending, monkeypatch):
    use(monkeypatch, backend, (64, tile))
    monkeypatch.setattr(inputs, "CHUNK", chunk)
    monkeypatch.setattr(engine, "PENDING", pending)
    query, wrong, right, far, distant = misleading()
    gallery = np.concatenate([far, wrong, far, right, query, far, wrong, distant])
    logits = reference(query, gallery, np.ones(64), 0.0)
    for k in (1, 2, 3, 4):
        found = scan(query, [gallery], head(np.ones(64), 0.0), k=k, threshold=float(logits[0, 7]))
        assert found.best.positions.tolist() == [[4, 3, 1, 6][:k]]
        assert found.matches()["gallery"].tolist() == [1, 3, 4, 6, 7]
    assert scan(query, [gallery[[0, 1, 2, 3, 5]]], head(np.ones(64), 0.0)).best.positions.tolist() == [[3]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_match_is_found_although_all_roundings_add_up(backend, sign, monkeypatch):
    """Its distance in levels is as far too long as the bound allows, and the threshold is its own score."""
    use(monkeypatch, backend, (64, 1))
    below = (62 - 0.001) / 128 / 255  # 128 bytes, and both radii are 62 levels
    query, row, better = (below, 1 / 255 - below, below) if sign > 0 else (1 / 255 - below, 1 / 255 + below, 1.0)
    features = np.repeat(np.array([[query], [better], [row]], dtype=np.float32), 64, axis=1)
    weight = sign * np.ones(64)
    threshold = float(reference(features[:1], features, weight, 0.0)[0, 2])
    found = scan(features[:1], features[1:], head(weight, 0.0), threshold=threshold)
    assert found.best.positions.tolist() == [[0]] and found.matches()["gallery"].tolist() == [0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("chunk", [1, 100])
def test_the_kth_best_is_the_bar(backend, chunk, monkeypatch):
    """The best comes first, and each of the others must still get into the list."""
    use(monkeypatch, backend, (64, 1))
    monkeypatch.setattr(inputs, "CHUNK", chunk)
    monkeypatch.setattr(engine, "PENDING", 0)
    gallery = np.repeat(np.array([[0], [200], [100], [50], [100], [150]], dtype=np.float32) / 255, 8, axis=1)
    found = scan(
        gallery[:1],
        gallery,
        head(np.ones(8), 0.0),
        k=4,
        query_identities=np.zeros(1, int),
        gallery_identities=np.arange(6) % 2,
    )
    assert found.best.positions.tolist() == [[0, 3, 2, 4]], "of equal scores the first"
    assert found.same.positions.tolist() == [[0, 2, 4, -1]] and found.different.positions.tolist() == [[3, 5, 1, -1]]


@pytest.fixture(scope="module")
def faces_features(compact, orl):
    from lcmem.matching.features import extract_features

    found = extract_features(orl, compact, None)
    codes = np.unique(found.manifest.identities, return_inverse=True)[1]
    return found.features.numpy(), codes, compact.weight.numpy(), float(compact.bias)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_real_faces(faces_features, backend, sign, monkeypatch):
    use(monkeypatch, backend)
    features, codes, weight, bias = faces_features
    weight = np.where(np.arange(len(weight)) % 5, weight, sign * weight)
    found = scan(features, None, head(weight, bias), k=5, threshold=0.5, query_identities=codes)
    logits = reference(features, features, weight, bias)
    both = features * 1.0, features * 1.0
    apart, alike = (cdist(*both, "cityblock", w=np.maximum(part, 0)) for part in (weight, -weight))
    np.testing.assert_allclose(logits, bias - apart + alike, atol=1e-9)
    np.fill_diagonal(logits, -np.inf)
    counted = np.triu(np.ones_like(logits, dtype=bool), 1)
    kinds = {name: mask & ~np.eye(len(codes), dtype=bool) for name, mask in masks(codes, codes).items()}
    assert_is_reference(found, logits, 5, 0.5, kinds, counted)
    assert found.histogram.counts["same"].sum() == 40 * 45 and found.pairs == 400 * 399 // 2
    others = np.where(kinds["different"], logits, -np.inf).max(1)
    assert found.failures.tolist() == np.flatnonzero(others >= 0.5).tolist()
    assert found.histogram.error < 0.02 * bias, "of the way from itself to p = 0.5"


def test_few_pairs_need_their_exact_score(faces_features, monkeypatch):
    """What makes it fast: of the 160 000 pairs, only those near a query's best are scored in float64."""
    features, _, weight, bias = faces_features
    scored = []
    original = exact.ExactScorer.logits
    monkeypatch.setattr(exact.ExactScorer, "logits", lambda *a: scored.append(len(a[3])) or original(*a))
    scan(features, None, head(weight, bias))
    assert sum(scored) < 5 * len(features)


def same(one: ScanResult, other: ScanResult) -> bool:
    lists = all(
        np.array_equal(getattr(one, name).logits, getattr(other, name).logits)
        and np.array_equal(getattr(one, name).positions, getattr(other, name).positions)
        for name in ("best", "same", "different")
    )
    counts = all(np.array_equal(one.histogram.counts[name], other.histogram.counts[name]) for name in masks([0], [0]))
    return lists and counts and one.matches().equals(other.matches()) and one.match_counts == other.match_counts


def test_tiles_threads_blocks_and_passes_do_not_matter(faces_features, monkeypatch, tmp_path):
    features, codes, weight, bias = faces_features

    def run(cuts=(), **options):
        blocks = np.split(features, cuts)
        return scan(blocks, None, head(weight, bias), k=3, threshold=0.0, query_identities=codes, **options)

    expected, threads = run(), torch.get_num_threads()
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            assert same(run(), expected)
    finally:
        torch.set_num_threads(threads)
    assert same(run(cuts=(1, 77, 77, 300)), expected), "one block is empty"
    assert same(run(out=tmp_path / "scan"), expected)
    for backend, tile in (("compiled", (3, 13)), ("portable", (50, 1000)), ("portable", (7, 5))):
        with monkeypatch.context() as patch:
            use(patch, backend, tile)
            assert same(run(), expected)


@pytest.mark.parametrize("itself", [True, False])
def test_parts_of_the_queries_join_to_the_whole(itself, rng, tmp_path, monkeypatch):
    """With many ties; what one machine finds and several find is the same table in the same order."""
    monkeypatch.setattr(inputs, "CHUNK", 20)
    values, codes = rng.integers(0, 2, (60, 12)).astype(np.float32), rng.integers(-1, 4, 60)
    values[::7] *= rng.random((9, 12), dtype=np.float32)
    gallery = None if itself else np.split(values[::-1].copy(), [13, 40])

    def run(part, out):
        others = None if itself else codes[::-1]
        options = {"query_range": part, "query_identities": codes, "gallery_identities": others, "out": tmp_path / out}
        return scan(np.split(values, [9]), gallery, head(np.linspace(-0.1, 1, 12), 1.3), k=3, threshold=-2.0, **options)

    whole = run(None, "whole")
    cuts = [range(0, 7), range(7, 7), range(7, 50), range(50, 60)]
    joined = ScanResult.join([run(part, f"{part.start}-{part.stop}") for part in cuts])
    assert same(joined, whole) and joined.pairs == whole.pairs == (60 * 59 // 2 if itself else 3600)
    assert joined.histogram.error == whole.histogram.error
    joined.save(tmp_path / "saved")
    again = ScanResult.load(tmp_path / "saved")
    assert same(again, joined) and repr(again) == repr(joined) and again.histogram.error == joined.histogram.error
    tables = [pd.concat([*result.match_chunks()], ignore_index=True) for result in (joined, whole)]
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) > 100


def test_without_numba_torch_does_it(monkeypatch):
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    assert engine.backend("cpu")[0].func is BACKENDS["portable"][0].func


def test_a_result_in_memory_is_loaded_again_and_a_damaged_one_named(rng, tmp_path):
    result = scan(rng.random((5, 3), dtype=np.float32), None, head(np.ones(3), 0.0), threshold=None)
    result.save(tmp_path)
    again = ScanResult.load(tmp_path)
    assert np.array_equal(again.best.positions, result.best.positions) and again.threshold is again.same is None
    (tmp_path / "scan-result.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(LCMemError, match="damaged"):
        ScanResult.load(tmp_path)
    with pytest.raises(LCMemError, match="holds no scan"):
        ScanResult.load(tmp_path / "nothing")


def test_without_identities_all_pairs_are_unknown(rng):
    features = rng.random((30, 8), dtype=np.float32)
    found = scan(features, [features], head(np.ones(8), 1.0))
    assert found.same is None and found.different is None and found.failures is None and not len(found.matches())
    assert found.histogram.counts["unknown"].sum() == 900
    assert found.best.positions[:, 0].tolist() == list(range(30))


def test_empty_sets(rng):
    some, none = rng.random((3, 8), dtype=np.float32), np.empty((0, 8), dtype=np.float32)
    found = scan(some, [none], head(np.ones(8), 1.0))
    assert found.pairs == 0 and found.best.positions.tolist() == [[-1]] * 3
    assert isinstance(scan(some, [], head(np.ones(8), 1.0)).best, Best)
    assert scan(none, [some], head(np.ones(8), 1.0)).best.logits.shape == (0, 1)


GOOD = np.full((4, 8), 0.5, dtype=np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must"),
        ({"threshold": np.nan}, "threshold"),
        ({"queries": GOOD[:, :7]}, "queries"),
        ({"gallery": [GOOD, GOOD[:, :7]]}, "gallery, block 1: shape"),
        ({"gallery": [GOOD.astype(int)]}, "float32"),
        ({"queries": GOOD * np.nan}, r"queries.*NaN"),
        ({"gallery": [GOOD, GOOD + np.float32(np.inf)]}, r"gallery, block 1.*\[0, 1\]"),
        ({"head": head(np.full(8, np.nan), 0.0)}, "finite"),
        ({"query_range": range(2, 5)}, "no part of 4"),
        (
            {"gallery": None, "query_identities": np.zeros(4), "gallery_identities": np.zeros(4)},
            "one list of identities",
        ),
        ({"query_identities": np.zeros(4)}, "identities"),
        ({"query_identities": np.zeros(4, int), "gallery_identities": np.zeros(3, int)}, "one identity"),
        ({"query_identities": np.full(4, 0.5), "gallery_identities": np.zeros(4, int)}, "whole numbers.*float64"),
        ({"k": 1.5}, "k must"),
        ({"threshold": "a"}, "threshold a number"),
        ({"query_range": [0, 1]}, "no part of 4"),
        ({"device": "cuda:77"}, "cannot be used here"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    options = {"queries": GOOD, "gallery": [GOOD], "head": head(np.ones(8), 0.0)} | change
    with pytest.raises(LCMemError, match=message):
        scan(**options)


def test_tensors_and_names_of_folders(rng, tmp_path):
    features = rng.random((6, 8), dtype=np.float32)
    found = scan(torch.from_numpy(features), None, head(np.ones(8), 1.0), out=str(tmp_path))
    assert np.array_equal(found.best.logits, scan(features, None, head(np.ones(8), 1.0)).best.logits)


def test_results_of_two_scans_are_not_joined(rng):
    features = rng.random((6, 8), dtype=np.float32)
    options = [{"threshold": 0.0}, {"threshold": 0.5}, {"threshold": 0.0, "k": 2}]
    parts = [scan(features, None, head(np.ones(8), 1.0), **each) for each in options]
    for several in ([], parts[:2], parts[::2]):
        with pytest.raises(LCMemError, match="must be of one scan"):
            ScanResult.join(several)


def test_too_many_matches_for_memory_are_refused(monkeypatch, rng, tmp_path):
    monkeypatch.setattr(state, "HELD", 100)
    features = rng.random((20, 8), dtype=np.float32)
    with pytest.raises(LCMemError, match="folder"):
        scan(features, [features], head(np.ones(8), 1.0), threshold=-np.inf)
    found = scan(features, [features], head(np.ones(8), 1.0), threshold=-np.inf, out=tmp_path)
    assert len(found.matches()) == 400 and not len(found.held.query)


def test_groups_are_those_of_a_walk(rng):
    for _ in range(20):
        n = int(rng.integers(1, 40))
        pairs = rng.integers(0, n, (int(rng.integers(0, n)), 2))
        expected = list(range(n))  # merge naively until nothing changes
        for _ in range(n):
            for a, b in pairs:
                low = min(expected[a], expected[b])
                expected = [low if label in (expected[a], expected[b]) else label for label in expected]
        found = connected_components(pairs, n)
        numbers = {label: rank for rank, label in enumerate(dict.fromkeys(expected))}
        assert found.tolist() == [numbers[label] for label in expected]
    with pytest.raises(LCMemError, match=r"\[0, 3\)"):
        connected_components(np.array([[0, 3]]), 3)
