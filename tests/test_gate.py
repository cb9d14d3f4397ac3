"""Claims: the gate fails what is proven, passes what is excluded, and says so where an audit cannot tell; same inputs
give the same bytes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from math import inf

import pandas as pd
import pytest
from PIL import Image

from commands import lcmem
from lcmem.errors import LCMemError
from lcmem.jobs.audit.gate import FAIL, PASS, WEAK, Gate
from lcmem.jobs.audit.result import AuditResult
from lcmem.stats.calibration import Calibration
from lcmem.stats.rates import proportion


def audited(matched, copies, total, *, rate=0.01, bound=0.02, logit=3.0, method="edited copies"):
    empty = pd.DataFrame()
    calibration = Calibration(logit, rate, bound, "identities", "")
    made = proportion(matched, total), proportion(copies, total)
    return AuditResult(empty, calibration, *made, None, None, empty, empty, {}, {"copy_method": method})


@pytest.mark.parametrize(
    ("found", "limit", "verdict", "outcome"),
    [
        (audited(0, 0, 1000), 0.01, "same-identity", PASS),
        (audited(0, 0, 300), 0.01, "same-identity", WEAK),  # 0 of 300: up to 1.3 %
        (audited(10, 0, 1000), 0.01, "same-identity", WEAK),
        (audited(40, 0, 1000), 0.01, "same-identity", FAIL),
        (audited(40, 0, 1000, rate=0.02, bound=0.05), 0.01, "same-identity", WEAK),  # chance may do that
        (audited(40, 30, 1000, rate=0.02, bound=0.05), 0.01, "same-identity", FAIL),  # but no copies
        (audited(100, 0, 1000, rate=0.02, bound=0.05), 0.01, "same-identity", FAIL),
        (audited(40, 0, 1000, rate=None, bound=None), 0.01, "same-identity", WEAK),
        (audited(0, 0, 1000, logit=inf), 0.01, "same-identity", WEAK),
        (audited(0, 0, 1000, logit=inf), 0.01, "copy", PASS),
        (audited(400, 0, 1000), 0.01, "copy", PASS),
        (audited(400, 20, 1000), 0.01, "copy", FAIL),
        (audited(0, 0, 1000, method="equal pictures"), 0.01, "copy", WEAK),
        (audited(1, 1, 1000), 0.0, "copy", FAIL),
        (audited(0, 0, 1000), 0.0, "copy", WEAK),
    ],
)
def test_what_passes_and_what_fails(found, limit, verdict, outcome):
    decision = Gate(limit, verdict).decide(found)
    assert decision.outcome == outcome and decision.code == {PASS: 0, FAIL: 3, WEAK: 4}[outcome]
    assert decision.reason


def test_what_failed_is_named():
    """Copies in clusters of their own can be sure where all matches together are not."""
    found = replace(audited(41, 40, 1000), memorization=proportion(41, 1000, 20))
    assert found.memorization.low < 0.01 < found.copies.low
    assert "interval of the copy rate" in Gate(0.01).decide(found).reason


@pytest.mark.parametrize(
    ("name", "left", "outcome"),
    [("synthetic", 6, PASS), ("synthetic", 7, WEAK), ("real", 3, PASS), ("real", 4, WEAK), ("holdout", 300, PASS)],
)
def test_what_could_not_be_used_does_not_pass(name, left, outcome):
    """0 of 1,000: up to .37 %, and 6 more of 1,006 make .96 %; 3 of 303 real ones are .99 %."""
    skipped = pd.DataFrame({"set": [name] * left, "path": "a.gif", "reason": "a.gif: broken"})
    found = audited(0, 0, 1000)
    decision = Gate(0.01).decide(replace(found, skipped=skipped, about=found.about | {"n_real": 300}))
    assert decision.outcome == outcome and ("could not be used" in decision.reason) is (outcome == WEAK)


@pytest.mark.parametrize("arguments", [(-0.1,), (1.0,), (0.01, "look-alike")])
def test_a_limit_that_is_none(arguments):
    with pytest.raises(LCMemError, match=r"--fail-above|--verdict"):
        Gate(*arguments)


SCRIPT = """
"$PYTHON" -m lcmem audit ../../real ../../copied --model "$MODEL" --fail-above 0.3 --verdict copy --workers 0 --out out
echo $?
"""
GATES = {
    "clean": ["clean", "--fail-above", 0.3, "--quiet"],
    "few": ["few", "--fail-above", 0.3, "--json"],
    "again/same": ["few", "--fail-above", 0.3, "--json"],
    "quiet": ["few", "--fail-above", 0.3, "--quiet"],
    "wrong": ["clean", "--fail-above", 20],
}
"""Each runs in a folder of its own, so that the commands are the same letter for letter."""


@pytest.fixture(scope="module")
def gates(faces, weights, tmp_path_factory):
    """Exit codes and output of the commands, and the folder that they ran in."""
    root = tmp_path_factory.mktemp("gates")
    for name, people, numbers in (
        ("real", range(1, 11), (1, 2, 3)),
        ("clean", range(11, 41), (1,)),  # at a threshold from ten people chance groups many of them
        ("copied", range(1, 6), (1, 2, 3)),
        ("few", range(11, 14), (1,)),
    ):
        for person in people:
            for number in numbers:
                target = root / name / f"s{person}" / f"{number}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.open(faces / f"s{person}" / f"{number}.pgm").save(target)
    done = {}
    for name, (data, *options) in GATES.items():
        (root / "run" / name).mkdir(parents=True)
        sets = root / "real", root / data
        words = ["audit", *sets, *options, "--model", weights, "--verdict", "copy", "--workers", 0, "--out", "out"]
        done[name] = lcmem(*words, cwd=root / "run" / name)
    return done, root / "run"


def test_exit_codes_and_output(gates):
    done, root = gates
    assert [done[name].returncode for name in GATES] == [0, 4, 4, 4, 1]
    assert done["clean"].stdout == "" == done["clean"].stderr
    assert done["quiet"].stdout == "" and done["quiet"].stderr.startswith("too weak to tell: ")
    assert "--fail-above takes a rate" in done["wrong"].stderr
    assert not (root / "wrong" / "out").exists()


def test_a_shell_script_obeys_the_gate(gates, weights):
    _, root = gates
    (root / "copied").mkdir()
    environment = os.environ | {"PYTHON": sys.executable, "MODEL": weights}
    done = subprocess.run(["bash", "-c", SCRIPT], cwd=root / "copied", env=environment, capture_output=True, text=True)
    assert done.stdout.split()[-1] == "3", done.stderr
    assert "fail: the interval of the copy rate" in done.stdout


def test_json_is_the_summary_and_nothing_else(gates):
    done, root = gates
    printed = json.loads(done["few"].stdout)
    gate = printed.pop("gate")
    assert gate["exit_code"] == 4 and gate["outcome"] == "too weak to tell" and gate["fail_above"] == 0.3
    assert printed == json.loads((root / "few" / "out" / "summary.json").read_text())


TIMES = ("seconds", "pictures_per_second", "date")
DATE = r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(\+00:00| UTC)?)?"
TIME = '<th scope="row">time</th><td>'
"""The row of the report that tells how long the audit took."""


def test_the_same_inputs_give_the_same_bytes_but_for_times(gates):
    _, root = gates
    one, two = root / "few" / "out", root / "again" / "same" / "out"
    names = sorted(path.name for path in one.iterdir() if path.is_file())
    assert names == sorted(path.name for path in two.iterdir() if path.is_file())
    assert {"index.html", "matches.parquet", "summary.json", "kept.csv"} <= {*names}
    for name in names:
        first, second = ((folder / name).read_bytes() for folder in (one, two))
        if name.endswith(".json"):
            first, second = (json.loads(text, object_hook=timeless) for text in (first, second))
        if name == "index.html":
            first, second = (without_times(text.decode()) for text in (first, second))
        assert first == second, name


def timeless(numbers):
    return {name: value for name, value in numbers.items() if name not in TIMES}


def without_times(page):
    before, after = page.split(TIME)
    return re.sub(DATE, "", before + after.split("</td>", 1)[1])


def test_the_command_line_tells_its_exit_codes():
    text = " ".join(lcmem("audit", "--help").stdout.split())
    assert "Exit codes: 0 done, or passed; 1 bad input; 2 wrong options; 3 failed" in text
