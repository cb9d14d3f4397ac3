"""Claims: whatever kills the filling of a store, what was encoded stays, no row is wrong, the same call goes on."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.latents import LatentStore, build_store
from lcmem.store import Card, Store
from lcmem.store import rows as rows_module
from lcmem.store import shards as shards_module
from lcmem.store import store as store_module

SIZE = 64


KILLED = """
import sys, time
import lcmem.latents.store
from lcmem.encoders import load_encoder
from lcmem.latents import build_store
from lcmem.pictures.manifest import Manifest
lcmem.latents.store.SHARD_ROWS = 64
encoder = load_encoder()
original = encoder.encode
def slow(batch):
    time.sleep(0.03)
    return original(batch)
encoder.encode = slow
build_store(Manifest.read(sys.argv[1]), encoder, 64, sys.argv[2], mirror=True, batch_size=16, workers=0)
"""


def test_killed_while_encoding_and_started_again(orl, counting, tmp_path):
    """A real SIGKILL, in the middle of the second shard; the second run encodes exactly the rest."""
    orl.write(tmp_path / "m.csv")
    out = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "m.csv", out])
    deadline = time.monotonic() + 100
    while not (out / "shards/00001.keys").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(LCMemError, match=r"unfinished.*run the same lcmem encode again"):
        LatentStore.open(out)
    lines = (out / "shards/00001.keys").read_bytes().count(b"\n")
    resumed = build_store(orl, counting.encoder, SIZE, out, mirror=True, batch_size=16)
    assert 0 <= lines < 64 and resumed.encoded == 400 - 64 - lines
    assert counting.pictures == 2 * resumed.encoded, "each in both views"
    whole = build_store(orl, counting.encoder, SIZE, tmp_path / "whole", mirror=True, batch_size=16)
    for view in (0, 1):
        same = {"rtol": 2**-9, "atol": 2**-9}  # on some processors batches of other sizes differ in the last of 16 bits
        torch.testing.assert_close(resumed.read(np.arange(400), view), whole.read(np.arange(400), view), **same)
    np.testing.assert_allclose(resumed.statistics().std, whole.statistics().std, rtol=1e-5)


class Killed(BaseException):
    """Stands for a SIGKILL."""


def stop_at(step):
    """Trace function that raises at the n-th line run in the modules that write shards."""
    count = 0
    files = {module.__file__ for module in (shards_module, rows_module, store_module)}

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        if event == "line" and count == step:
            raise Killed
        return trace

    return trace


CARD = Card("features", {"fingerprint": "0"}, "m", (2, 3, 3), "float16", shard_rows=5)


def write(folder, keys, step=0):
    """Write one row for each key, three at a time, up to a step; how many were written before it."""
    done = 0
    previous = sys.gettrace()
    try:
        sys.settrace(stop_at(step) if step else previous)
        writer = Store.claim(folder, CARD).writer()
        for start in range(0, len(keys), 3):
            part = keys[start : start + 3]
            writer.append(part, np.array([np.full(CARD.shape, int(key)) for key in part], dtype=np.float16))
            done += len(part)
    except Killed:
        return done, True
    finally:
        sys.settrace(previous)
    return done, False


def check_rows(folder):
    """Every key that is found has its own row; all keys."""
    store = Store.open(folder, "features")
    found = [key for number in store.shards.numbers() for key in store.shards.keys(number)]
    rows = store.rows(store.find(found))
    assert (store.find(found) >= 0).all()
    for at, key in enumerate(found):
        assert (rows[at] == int(key)).all()
    return found


def test_killed_at_every_line_of_writing(tmp_path):
    keys = [str(number) for number in range(7)]
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        Store.claim(folder, CARD)
        done, killed = write(folder, keys, step)
        Store.claim(folder, CARD)
        kept = check_rows(folder)
        assert set(kept) >= set(keys[:done]), "what was finished stays"
        write(folder, [key for key in keys if key not in kept])
        assert sorted(check_rows(folder)) == keys
        if not killed:
            break
    assert step > 50, "or the loop above was not there to be killed"


def two_rows(folder):
    Store.claim(folder, CARD).writer().append(
        ["1", "2"], np.stack([np.full(CARD.shape, n, np.float16) for n in (1, 2)])
    )


@pytest.mark.parametrize("line", [b"0123abcd 9", b"", b"\0" * 96, b"\0\0\0\0\n"])
def test_torn_line_and_row_are_not_read(tmp_path, line):
    two_rows(tmp_path)
    with (tmp_path / "shards/00000.keys").open("ab") as keys, (tmp_path / "shards/00000.rows").open("ab") as rows:
        keys.write(line)
        rows.write(b"\1" * (CARD.row_bytes + 5))
    assert check_rows(tmp_path) == ["1", "2"]
    write(tmp_path, ["3", "4"])
    assert check_rows(tmp_path) == ["1", "2", "3", "4"], "nothing is written behind what is torn"


@pytest.mark.parametrize("bytes_left", [0, 1, CARD.row_bytes, 2 * CARD.row_bytes - 1])
def test_lines_without_their_rows_do_not_count(tmp_path, bytes_left):
    two_rows(tmp_path)
    os.truncate(tmp_path / "shards/00000.rows", bytes_left)
    store = Store.open(tmp_path, "features")
    with pytest.raises(LCMemError, match=rf"00000\.rows: damaged \(truncated, {bytes_left} of"):
        store.rows(store.find(["1"]))


def test_a_shard_of_other_rows_is_not_read(tmp_path):
    two_rows(tmp_path)
    (tmp_path / "shards/00000.rows").write_bytes(b"\1" * 3 * CARD.row_bytes)
    store = Store.open(tmp_path, "features")
    with pytest.raises(LCMemError, match="its rows are not what was written"):
        store.rows(store.find(["1"]))


def test_a_view_where_rows_are_adjacent_else_a_copy(tmp_path):
    write(tmp_path, [str(number) for number in range(12)])
    store = Store.open(tmp_path, "features")
    rows = store.rows(store.find([str(number) for number in (*range(12), 3, 3, 0)]))
    assert rows.shape == (15, 2, 3, 3) and rows.dtype == np.float16
    assert not rows[1:4].flags.owndata and not rows[1:4].flags.writeable
    for at in (slice(0, 15), slice(10, 15), slice(4, 6), slice(3, 3), np.array([14, 2, 2]), np.array([], dtype=int)):
        expected = np.array([*range(12), 3, 3, 0])[at]
        np.testing.assert_array_equal(
            rows[at], np.broadcast_to(expected[:, None, None, None], (len(expected), 2, 3, 3))
        )
    assert len(rows.select(np.array([1, 13]))) == 2 and (rows.select(np.array([1, 13]))[1] == 3).all()


def test_full_disk_leaves_the_store_resumable(orl, counting, tmp_path, monkeypatch):
    pictures, calls = orl.rows(range(30)), []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 5:  # of rows and lines in turn: the third batch
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build_store(pictures, counting.encoder, SIZE, tmp_path / "store", batch_size=8)
    monkeypatch.undo()
    store = build_store(pictures, counting.encoder, SIZE, tmp_path / "store", batch_size=8)
    assert counting.pictures == 1 + 2 + 4 + 27 and store.encoded == 27
    whole = build_store(pictures, counting.encoder, SIZE, tmp_path / "whole", batch_size=8)
    assert torch.equal(store.read(np.arange(30)), whole.read(np.arange(30)))
