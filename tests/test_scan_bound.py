"""Claims: bytes bracket every score as proven, and sums of byte differences are exact on every path."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

import lcmem.scan
from lcmem.errors import LCMemError
from lcmem.scan import engine, pass_numba, pass_torch
from lcmem.scan.quantise import LANE, Quantiser
from scan_reference import reference

WEIGHTS = {
    "alike": lambda rng, d: rng.uniform(0.03, 0.05, d),
    "either sign": lambda rng, d: rng.normal(0, 1, d),
    "one dominates": lambda rng, d: np.where(np.arange(d) == d // 2, 1e4, rng.uniform(0, 1, d)),
    "zero": lambda rng, d: np.zeros(d),
    "all negative": lambda rng, d: -rng.uniform(0, 1, d),
    "tiny": lambda rng, d: rng.uniform(0, 1, d) * 1e-30,
    "huge": lambda rng, d: rng.uniform(0, 1, d) * 1e30,
}


def levels(codes, split):
    sums = [np.abs(codes.levels[:, None, part].astype(int) - codes.levels[None, :, part]).sum(-1)
            for part in (slice(split), slice(split, None))]  # fmt: skip
    return sums[0] - sums[1]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(WEIGHTS)),
    features=st.integers(1, 200),
    bias=st.sampled_from([0.0, 3.3, -1e6, 1e16]),
    rounding=st.sampled_from(["any", "edges", "extremes"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_distance_in_levels_is_within_both_radii(kind, features, bias, rounding, seed):
    rng = np.random.default_rng(seed)
    weight = WEIGHTS[kind](rng, features).astype(np.float32)
    quantiser = Quantiser(weight, bias)
    values = rng.random((12, features), dtype=np.float32)
    if rounding == "edges":  # exactly between two levels, where rounding errs most
        step = np.maximum(np.abs(weight.astype(float)) * quantiser.scale, 1e-300)
        values = np.clip((np.floor(values * step) + 0.5) / step, 0, 1).astype(np.float32)
    if rounding == "extremes":
        values = np.rint(values)
    codes = quantiser.encode(values, "test")
    logits = reference(values, values, weight, np.float64(bias))
    found = levels(codes, quantiser.split)
    allowed = codes.radius[:, None].astype(float) + codes.radius[None]
    exact = quantiser.scale * (bias - logits)
    assert (np.abs(exact - found) <= allowed + 1e-6 * np.abs(exact).max(initial=1) * (np.abs(exact) > 1e9)).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_is_reached_where_all_roundings_add_up(sign):
    """One vector just below half a level rounds down, the other just above rounds up: no bound a level lower holds."""
    quantiser = Quantiser(sign * np.ones(64), 0.0)
    below = (62 - 0.001) / 128 / 255  # 128 bytes, of which each errs by this in levels
    values = np.repeat(np.array([[below], [1 / 255 - below]], dtype=np.float32), 64, axis=1)
    codes = quantiser.encode(values, "test")
    assert quantiser.width - LANE * (sign < 0) == 128 and codes.radius.tolist() == [62, 62]
    exact = -quantiser.scale * reference(values, values, sign * np.ones(64), 0.0)[0, 1]
    error = abs(exact - levels(codes, quantiser.split)[0, 1])
    assert codes.radius.sum() - 0.01 < error < codes.radius.sum()


def test_radius_is_about_a_quarter_level_for_each_byte(compact, orl):
    """What makes the bound tight enough to be useful."""
    weight = compact.weight.numpy()
    quantiser = Quantiser(weight, 0.0)
    features = np.random.default_rng(0).random((50, len(weight)), dtype=np.float32)
    radius = quantiser.encode(features, "test").radius
    assert radius.max() < 0.3 * len(weight)
    assert 2 * radius.max() / quantiser.scale < 0.02 * float(compact.bias), "of the way from itself to p = 0.5"


def test_one_heavy_weight_does_not_take_the_levels_of_the_others():
    weight = np.full(100, 1.0, dtype=np.float32)
    weight[0] = 20
    quantiser = Quantiser(weight, 0.0)
    assert quantiser.scale > 255 / 2 and quantiser.width <= 128


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.5])
def test_features_that_are_none_are_refused(value):
    features = np.full((3, 4), 0.5, dtype=np.float32)
    features[1, 2] = value
    with pytest.raises(LCMemError, match=r"gallery block 7.*\[0, 1\]"):
        Quantiser(np.ones(4), 0.0).encode(features, "gallery block 7")


@pytest.mark.parametrize(("weight", "bias"), [([1, np.nan], 0.0), ([1, np.inf], 0.0), ([1, 1], np.nan)])
def test_broken_heads_are_refused(weight, bias):
    with pytest.raises(LCMemError, match="finite"):
        Quantiser(np.array(weight), bias)


def compile_for(register, dot, monkeypatch):
    """The byte pass as compiled for a machine with registers of so many bytes; 0 has no instruction for it."""
    if register > pass_numba.BYTES or (dot and not pass_numba.DOT):
        pytest.skip("no such instruction on this machine")
    for name, value in {"BYTES": register, "DOT": dot, "QUERY_ROWS": pass_numba.register_queries(register)}.items():
        monkeypatch.setattr(pass_numba, name, value)
    vector = njit(nogil=True)(pass_numba._vector_sad.py_func)
    monkeypatch.setattr(pass_numba, "_kernel", vector if register else pass_numba._plain_sad)
    return vector, njit(pass_numba.byte_distances.py_func)


MACHINES = [(64, True), (64, False), (32, False), (16, False), (0, False)]


@pytest.mark.parametrize("width", [(64, 0), (64, 64), (512, 0), (640, 192)])
@pytest.mark.parametrize("machine", [*MACHINES, None])
def test_byte_sums_are_exact(width, machine, rng, monkeypatch):
    split, total = width[0], sum(width)
    queries = rng.integers(0, 256, (8, total), dtype=np.uint8)
    rows = rng.integers(0, 256, (140, total), dtype=np.uint8)
    queries[0], rows[0], rows[1] = 255, 0, 255
    wide = np.abs(queries[:, None].astype(np.int64) - rows[None])
    expected = wide[..., :split].sum(-1) - wide[..., split:].sum(-1)
    if machine is None:
        found = pass_torch._distances(torch.from_numpy(queries).float(), torch.from_numpy(rows).float(), split).numpy()
    else:
        found, negative = np.full((2, 8, 150), 7, dtype=np.int32)
        compile_for(*machine, monkeypatch)[1](queries, rows, split, found, negative)
        assert (found[:, 140:] == 7).all(), "columns beyond the rows are left alone"
    assert np.array_equal(found[:, :140], expected)


@pytest.mark.parametrize("machine", MACHINES[:-1])
def test_the_byte_pass_uses_the_instruction_for_it(machine, monkeypatch):
    """One for each pair in the loop: sums are kept in registers. The speed depends on it."""
    vector = compile_for(*machine, monkeypatch)[0]
    shape = pass_numba.QUERY_ROWS, pass_numba.GALLERY_ROWS
    queries, rows = (np.zeros((count, 64), np.uint8) for count in shape)
    vector(queries, rows, 0, 64, np.zeros(shape, np.int32))
    assembly = "\n".join(vector.inspect_asm().values())
    assert assembly.count("psadbw") == pass_numba.QUERY_ROWS * pass_numba.GALLERY_ROWS
    assert assembly.count("vpdpwssd") == (pass_numba.QUERY_ROWS * pass_numba.GALLERY_ROWS if machine[1] else 0)


def test_another_target_than_this_processor(tmp_path):
    """Numba can be told to compile for a lesser processor; clusters of mixed machines do."""
    code = """
import numpy as np
from lcmem.model import MetricHead
from lcmem.scan import scan
features = np.random.default_rng(0).random((70, 64), dtype=np.float32)
found = scan(features[:5], features, MetricHead(64)).best
print(found.positions[:, 0].tolist(), found.logits[:, 0].tolist())
"""
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == f"{[*range(5)]} {[3.0] * 5}", done.stderr


def test_without_a_place_for_compiled_code_the_portable_pass_is_taken(monkeypatch):
    """As in a container whose packages and home cannot be written: Numba then fails at import."""
    monkeypatch.delitem(sys.modules, "lcmem.scan.pass_numba")
    monkeypatch.delattr(lcmem.scan, "pass_numba", raising=False)
    monkeypatch.setattr("numba.njit", raise_no_locator)
    engine._by_numba.cache_clear()
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR") as told:
        find_candidates = [engine.backend("cpu")[0] for _ in range(2)][-1]
    engine._by_numba.cache_clear()
    assert len(told) == 1
    assert find_candidates.func is pass_torch.find_candidates


def raise_no_locator(*arguments, **options):
    raise RuntimeError("cannot cache function: no locator available")
