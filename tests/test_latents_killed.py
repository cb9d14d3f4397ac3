"""Claims: whatever kills the building of a store, what was encoded stays, no row is wrong, the same call goes on."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lcmem.encoders import EncoderCard
from lcmem.errors import LCMemError
from lcmem.latents import LatentStore, build_store
from lcmem.latents import shards as shards_module
from lcmem.latents import writer as writer_module
from lcmem.latents.card import StoreCard
from lcmem.latents.shards import ShardReader, stored_rows
from lcmem.latents.writer import ShardWriter, recover_shards

SIZE = 64


KILLED = """
import sys, time
import lcmem.latents.card
from lcmem.encoders import load_encoder
from lcmem.latents import build_store
from lcmem.pictures.manifest import Manifest
lcmem.latents.card.SHARD_ROWS = 64
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
    while not (out / "shards/00001.jsonl").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(LCMemError, match=r"unfinished.*run the same lcmem encode again"):
        LatentStore.open(out)
    lines = (out / "shards/00001.jsonl").read_bytes().count(b"\n")
    resumed = build_store(orl, counting.encoder, SIZE, out, mirror=True, batch_size=16)
    assert 0 <= lines < 64 and resumed.encoded == 400 - 64 - lines
    assert counting.pictures == 2 * resumed.encoded, "each in both views"
    whole = build_store(orl, counting.encoder, SIZE, tmp_path / "whole", mirror=True, batch_size=16)
    for view in (0, 1):
        assert torch.equal(resumed.read(np.arange(400), view), whole.read(np.arange(400), view))
    np.testing.assert_allclose(resumed.statistics().std, whole.statistics().std, rtol=1e-12)


class Killed(BaseException):
    """Stands for a SIGKILL."""


def stop_at(step):
    """Trace function that raises at the n-th line run in the modules that write shards."""
    count = 0
    files = {writer_module.__file__, shards_module.__file__}

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        count += event == "line"
        if event == "line" and count == step:
            raise Killed
        return trace

    return trace


@pytest.fixture
def card():
    return StoreCard(EncoderCard("e", "e", "0", "", 2, 8).to_dict(), 24, 1, (2, 3, 3), shard_rows=5)


def write(folder, card, keys, step=0):
    """Write one row for each key, three at a time, up to a step; how many were written before it."""
    done = 0
    previous = sys.gettrace()
    try:
        sys.settrace(stop_at(step) if step else previous)
        with ShardWriter(folder, card) as writer:
            for start in range(0, len(keys), 3):
                part = keys[start : start + 3]
                writer.append(part, np.array([np.full(card.row_shape, int(key)) for key in part], dtype=np.float16))
                done += len(part)
    except Killed:
        return done, True
    finally:
        sys.settrace(previous)
    return done, False


def check_rows(folder, card):
    found, reader = stored_rows(folder, card), ShardReader(folder, card)
    for key, entry in found.iterrows():
        assert (reader.rows(entry["shard"])[entry["row"]] == int(key)).all() and entry["mean"][0] == int(key)
    return found


def test_killed_at_every_line_of_writing(card, tmp_path):
    keys = [str(number) for number in range(7)]
    for step in range(1, 1000):
        folder = tmp_path / str(step)
        folder.mkdir()
        done, killed = write(folder, card, keys, step)
        recover_shards(folder, card)
        kept = check_rows(folder, card)
        assert set(kept.index) >= set(keys[:done]), "what was finished stays"
        write(folder, card, [key for key in keys if key not in kept.index])
        assert set(check_rows(folder, card).index) == set(keys)
        if not killed:
            break
    assert step > 50, "or the loop above was not there to be killed"


@pytest.mark.parametrize("line", [b'{"key": "9", "mean": [9.0, 9', b'{"key": "9"}\n', b"\0\0\0\0\n", b"7\n"])
def test_torn_line_and_row_are_dropped(card, tmp_path, line):
    writer = ShardWriter(tmp_path, card)
    writer.append(["1", "2"], np.array([np.full(card.row_shape, n) for n in (1, 2)], dtype=np.float16))
    with (tmp_path / "shards/00000.jsonl").open("ab") as journal, (tmp_path / "shards/00000.f16").open("ab") as rows:
        journal.write(line)
        rows.write(b"\1" * (card.row_bytes + 5))
    recover_shards(tmp_path, card)
    assert list(check_rows(tmp_path, card).index) == ["1", "2"]
    assert (tmp_path / "shards/00000.f16").stat().st_size == 2 * card.row_bytes


def test_lines_without_their_rows_do_not_count(card, tmp_path):
    writer = ShardWriter(tmp_path, card)
    writer.append(["1", "2"], np.array([np.full(card.row_shape, n) for n in (1, 2)], dtype=np.float16))
    os.truncate(tmp_path / "shards/00000.f16", 2 * card.row_bytes - 1)
    recover_shards(tmp_path, card)
    assert list(check_rows(tmp_path, card).index) == ["1"]


def test_full_disk_leaves_the_store_resumable(orl, counting, tmp_path, monkeypatch):
    pictures, calls = orl.rows(range(30)), []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        build_store(pictures, counting.encoder, SIZE, tmp_path / "store", batch_size=8)
    monkeypatch.undo()
    store = build_store(pictures, counting.encoder, SIZE, tmp_path / "store", batch_size=8)
    assert counting.pictures == 24 + 14 and store.encoded == 14
    whole = build_store(pictures, counting.encoder, SIZE, tmp_path / "whole", batch_size=8)
    assert torch.equal(store.read(np.arange(30)), whole.read(np.arange(30)))
