"""Claims: progress moves in steps of a few pictures, and says speed and time left as soon as one is done."""

import io
import sys
import time

import pytest
import torch
from rich.console import Console

from lcmem import progress
from lcmem.devices import usable_device
from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.jobs.check import inspect_pictures
from lcmem.latents import build_store
from lcmem.matching.features import extract_features, open_features


@pytest.fixture
def terminal(monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda **options: console)
    return shown


def test_a_stop_that_was_swallowed_is_raised_at_the_next_step(monkeypatch):
    """As Python does with one that comes in a destructor, or as a worker is forked."""
    monkeypatch.setattr(progress, "asked", [])
    with pytest.raises(KeyboardInterrupt), progress.progress_bar("encoding", 3) as advance:
        advance(1)
        progress.asked.append(KeyboardInterrupt)
        advance(1)
        pytest.fail("it went on")


def test_speed_and_time_left_after_the_first_picture(terminal):
    with progress.progress_bar("encoding", 110, done=10) as advance:
        time.sleep(0.5)
        advance(1)
        time.sleep(0.2)  # a redraw
        first = terminal.getvalue()
    assert "11/110" in first and "left" in first
    assert "/s" in first.replace("starting", ""), "what an earlier run did is no part of the speed"
    speeds = [float(words.split()[-1]) for words in first.split("/s")[:-1]]
    assert 0.5 < speeds[-1] < 5


@pytest.fixture
def steps(monkeypatch):
    """All steps of all progress bars."""
    made = []
    for module in ("lcmem.store.fill", "lcmem.matching.features", "lcmem.jobs.check"):
        monkeypatch.setattr(sys.modules[module], "progress_bar", lambda *a, **k: _Bar(made))
    return made


class _Bar:
    def __init__(self, made):
        self.made = made

    def __enter__(self):
        return self.made.append

    def __exit__(self, *error):
        return None


@pytest.mark.parametrize("stored", [True, False])
def test_features(people, compact, tmp_path, stored, steps):
    few = people.rows(range(40))
    store = open_features(tmp_path / "features", compact) if stored else None
    extract_features(few, compact, store, workers=0)
    assert sum(steps) == 40 and steps[0] == 1 and max(steps) <= 16


def test_latents_and_checks(people, tmp_path, steps):
    few = people.rows(range(20))
    build_store(few, load_encoder(), 64, tmp_path / "latents", workers=0)
    inspect_pictures(few.paths, workers=0)
    assert sum(steps) == 40 and max(steps) <= 16


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "quantum:0"])
def test_a_device_that_is_not_there(name):
    if name.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("it may be there")
    with pytest.raises(LCMemError, match=r"'.*' cannot be used here .*cpu, cuda .* or mps"):
        usable_device(name)
