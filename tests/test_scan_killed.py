"""Claims: a scan that was interrupted or killed goes on where it was, and ends with what it would have found anyway."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lcmem.errors import LCMemError
from lcmem.scan import engine, inputs, scan, state
from lcmem.scan.state import ScanState
from scan_reference import head
from test_scan_engine import same

QUERIES, GALLERY = 60, 400


def arrays():
    rng = np.random.default_rng(0)
    queries, gallery = (rng.random((n, 16), dtype=np.float32) for n in (QUERIES, GALLERY))
    codes = rng.integers(-1, 9, QUERIES), rng.integers(-1, 9, GALLERY)
    return queries, gallery, np.linspace(-0.1, 1, 16), codes


def run(out, *, threshold=-2.0, **changes):
    queries, gallery, weight, codes = arrays()
    gallery = changes.get("gallery", gallery)
    return scan(queries, [gallery[:150], gallery[150:]], head(weight, 3.0), k=2, threshold=threshold, out=out,
                query_identities=codes[0], gallery_identities=codes[1])  # fmt: skip


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(inputs, "CHUNK", 50)


def test_interrupted_in_the_middle(tmp_path, monkeypatch):
    expected, original, chunks = run(None), engine._Pass._compare, []

    def compare(self, queries, rows, *rest):
        chunks.append(rows.start)
        if len(chunks) == 5:
            raise KeyboardInterrupt
        original(self, queries, rows, *rest)

    monkeypatch.setattr(engine._Pass, "_compare", compare)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    found = run(tmp_path)
    assert chunks == [0, 50, 100, 150, 200, 200, 250, 300, 350], "finished chunks are not done again"
    assert same(found, expected) and len(found.matches())
    assert same(run(tmp_path), expected) and len(chunks) == 9, "a finished scan is only read"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("moment", ["matches written, state not", "state half written"])
def test_interrupted_while_writing(tmp_path, monkeypatch, moment):
    expected, original = run(None), ScanState._save

    def save(self, path):
        if self.done == 3:
            if moment == "state half written":
                path.with_name(path.name + ".partial").write_bytes(b"half")
            raise KeyboardInterrupt
        original(self, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ScanState, "_save", save)
        run(tmp_path)
    assert same(run(tmp_path), expected)


SCRIPT = """
import time
from pathlib import Path
from lcmem.scan import engine, inputs
import test_scan_killed
inputs.CHUNK = 50
original = engine._Pass._compare
def slowly(*given):
    original(*given)
    time.sleep(0.3)
engine._Pass._compare = slowly
test_scan_killed.run(Path({out!r}))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_killed(tmp_path):
    """SIGKILL leaves no time to tidy up."""
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(out=str(tmp_path))], env={**os.environ, "PYTHONPATH": paths}
    )
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("matches-*.parquet"))) < 3 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with np.load(tmp_path / state.STATE) as saved:
        assert 0 < saved["done"] < 8
    assert same(run(tmp_path), run(None))


def test_another_scan_is_not_continued(tmp_path):
    run(tmp_path)
    with pytest.raises(LCMemError, match="another scan"):
        run(tmp_path, threshold=0.0)
    changed = arrays()[1]
    changed[217, 3] = 1 - changed[217, 3]
    with pytest.raises(LCMemError, match="another scan"):  # of a single picture the features changed
        run(tmp_path, gallery=changed)
    changed = arrays()[1]
    changed[150:] = changed[150:][::-1]
    with pytest.raises(LCMemError, match="another scan"):
        run(tmp_path, gallery=changed)


def test_matches_of_an_unfinished_other_scan_are_not_taken_over(tmp_path):
    run(tmp_path)
    (tmp_path / state.STATE).unlink()
    found = run(tmp_path, threshold=100.0)
    assert not len(found.matches())


def test_damaged_state_is_named(tmp_path):
    run(tmp_path)
    path = tmp_path / state.STATE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LCMemError, match=r"scan\.npz: damaged"):
        run(tmp_path)
