"""Commands that are killed at random moments, and started twice at once: nothing is lost or doubled."""

import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lcmem.cli import main

SHARES = {"index": 45, "audit": 25, "encode": 20, "scan": 7, "train": 3}
"""Kills of each command, in a hundred."""
QUICK = ["--out", "OUT", "--model", "phash"]
"""A detector that leaves more of the time to reading and writing, where kills do harm."""
IN_A_ROW = 4
"""Times that one job is killed at most before it may end."""
LIMIT = 600
"""Seconds after which a command counts as a hang."""
CHANGING = ("second", "time", "date", "encoded", "reused", "speed", "command")
"""Parts of the names of numbers that differ from run to run."""
NEAR = 1e-4
"""Scores and features differ by no more: other batches, other rounding."""


class Job(NamedTuple):
    """A command and what it leaves behind.

    Attributes:
        arguments: Of the command line; ``OUT`` stands for the folder.
        result: What must be the same after kills: names and tables or arrays.
    """

    arguments: list[str]
    result: Callable[[Path], dict[str, Any]]


@dataclass
class Toll:
    """What became of one command's jobs."""

    kills: int = 0
    jobs: int = 0
    failed: list[str] = field(default_factory=list)


def jobs(pictures: Path, synthetic: Path, labelled: Path) -> dict[str, Job]:
    """The commands, on a folder of real pictures, one of synthetic ones, and a table with splits."""
    small = ("size=128", "stage1.steps_per_epoch=3", "stage1.epochs=2", "stage1.batch_size=8", "stage1.chunk=8")
    small += ("stage2.steps_per_epoch=2", "stage2.epochs=1", "stage2.batch_size=4", "stage2.chunk=4")
    train = ["train", "small", "--data", str(labelled), "--checkpoint-every", "1", "--workers", "0", "--out", "OUT"]
    return {
        "audit": Job(["audit", str(pictures), str(synthetic), *QUICK], tables("matches", "skipped")),
        "index": Job(["index", str(pictures), *QUICK], atlas_rows),
        "encode": Job(["encode", str(pictures), "--size", "64", "--out", "OUT"], latent_rows),
        "scan": Job(["scan", str(synthetic), str(pictures), "--out", "OUT"], tables("best", "skipped")),
        "train": Job([*train, *(word for setting in small for word in ("--set", setting))], training_steps),
    }


def tables(*names: str) -> Callable[[Path], dict[str, Any]]:
    """What tells whether two folders of results are the same."""

    def read(out: Path) -> dict[str, Any]:
        numbers = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        kept = {key: value for key, value in numbers.items() if not any(part in key for part in CHANGING)}
        return {"summary": flat(kept)} | {name: pd.read_csv(out / f"{name}.csv") for name in names}

    return read


def flat(numbers: Any, name: str = "") -> dict[str, Any]:
    """Nested numbers with one name each; texts cite numbers, which may be rounded otherwise."""
    if isinstance(numbers, dict):
        return {key: value for part, inner in numbers.items() for key, value in flat(inner, f"{name}/{part}").items()}
    return {} if isinstance(numbers, str | list) else {name: numbers}


def atlas_rows(out: Path) -> dict[str, Any]:
    """Table and features of an atlas, by path."""
    from lcmem.atlas import Atlas
    from lcmem.atlas.check import verify

    atlas = Atlas.open(out)
    order = np.argsort(atlas.paths)
    assert not verify(atlas)
    return {"table": atlas.table.iloc[order].reset_index(drop=True), "features": atlas.features()[order]}


def latent_rows(out: Path) -> dict[str, Any]:
    """Table and latents of a store, by path."""
    from lcmem.latents import LatentStore

    store = LatentStore.open(out)
    order = np.argsort(np.array(store.manifest.paths))
    latents = store.read(order).numpy()
    return {"table": store.manifest.table.iloc[order].reset_index(drop=True), "latents": latents}


def training_steps(out: Path) -> dict[str, Any]:
    """Steps that were logged and the weights' shapes: rounding may change what is learned, but not for how long."""
    from lcmem.detectors.lcmem import LCMem
    from lcmem.training.callbacks import read_metrics

    found: dict[str, Any] = {"dims": {"dims": LCMem.load(str(out / "stage2")).dims}}
    for stage in (1, 2):
        logged = read_metrics(out / "logs" / f"stage{stage}")[["step", "val_score"]].dropna()
        found[f"stage{stage}"] = pd.DataFrame({"step": logged["step"].to_numpy()})
    return found


def same(one: dict[str, Any], two: dict[str, Any]) -> str:
    """The name of the first thing that differs, or ""."""
    for name in one:
        a, b = one[name], two[name]
        if isinstance(a, pd.DataFrame):
            try:
                pd.testing.assert_frame_equal(a, b, check_dtype=False, rtol=NEAR, atol=NEAR)
            except AssertionError as error:
                return f"{name}: {' '.join(str(error).split())[:200]}"
        elif isinstance(a, dict):
            wrong = [key for key in a if key not in b or not alike(a[key], b[key])]
            if wrong or len(a) != len(b):
                return f"{name}: {wrong[:3]}"
        elif a.shape != b.shape or not np.allclose(a, b, atol=1e-2 if name == "latents" else NEAR):
            return name
    return ""


def alike(a: Any, b: Any) -> bool:
    """Numbers that differ by rounding only, or equal values."""
    if isinstance(a, float) and isinstance(b, float):
        return bool(np.isclose(a, b, rtol=NEAR, atol=NEAR, equal_nan=True))
    return bool(a == b)


def start(arguments: list[str], log: Path) -> int:
    """Run a command in a process of its own, which has all modules loaded already; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        sys.argv = ["lcmem", *arguments]
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait(child: int, log: Path) -> str:
    """Let a command end; what is wrong with how it did, or ""."""
    began = time.monotonic()
    while time.monotonic() - began < LIMIT:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            said = log.read_text(encoding="utf-8", errors="replace")
            if "Traceback" in said or os.waitstatus_to_exitcode(status):
                return f"exit {os.waitstatus_to_exitcode(status)}: {said[-1500:]}"
            return ""
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"not done after {LIMIT} s"


def kill(child: int, after: float) -> bool:
    """Kill a command after some seconds; whether it was still at work."""
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def killed(name: str, job: Job, kills: int, seed: int, folder: Path) -> Iterator[Toll]:
    """Kill a command so many times, at moments that are uniform over the time that it takes; what happened so far.

    Each job is killed up to :data:`IN_A_ROW` times and then ends; what it leaves must be what a job leaves that nobody
    disturbed.
    """
    toll, rng = Toll(), np.random.default_rng([seed, *name.encode()])
    folder = folder / name
    folder.mkdir()
    arguments, log = in_folder(job, folder / "out"), folder / "log.txt"
    began = time.monotonic()
    toll.failed += [wrong for wrong in [wait(start(arguments, log), log)] if wrong]
    if toll.failed:
        yield toll
        return
    span, expected = time.monotonic() - began, job.result(folder / "out")
    while toll.kills < kills:
        shutil.rmtree(folder / "out")
        toll.jobs += 1
        for _ in range(int(rng.integers(1, IN_A_ROW + 1))):
            toll.kills += toll.kills < kills and kill(start(arguments, log), rng.random() * span)
        wrong = wait(start(arguments, log), log) or differing(job, expected, folder)
        if wrong:
            toll.failed.append(wrong)
        print(f"{name}: {toll.kills} of {kills} kills, {toll.jobs} jobs, {len(toll.failed)} failed", flush=True)
        yield toll


def in_folder(job: Job, out: Path) -> list[str]:
    """The arguments of a job that writes there."""
    return [str(out) if word == "OUT" else word for word in job.arguments]


def differing(job: Job, expected: dict[str, Any], folder: Path) -> str:
    """What differs from an undisturbed job, or is left lying about."""
    left = [path.name for path in (folder / "out").rglob("*.partial")]
    return same(expected, job.result(folder / "out")) or (f"left behind: {left}" if left else "")


def together(job: Job, rounds: int, folder: Path) -> list[str]:
    """Start a command twice at once, in one folder; what is wrong with how it ended.

    Either both do their work, or one of them ends with a line that says so; started once more, the result is whole.
    """
    wrong, logs, arguments = [], [folder / "one.txt", folder / "two.txt"], in_folder(job, folder / "both")
    expected: dict[str, Any] = {}
    for number in range(rounds + 1):
        shutil.rmtree(folder / "both", ignore_errors=True)
        children = [start(arguments, log) for log in logs[: 2 if number else 1]]
        ends = [wait(child, log) for child, log in zip(children, logs, strict=False)]
        wrong += [end for end in ends if "Traceback" in end or "not done" in end]
        again = wait(start(arguments, logs[0]), logs[0])
        expected = expected or job.result(folder / "both")
        found = again or same(expected, job.result(folder / "both"))
        wrong += [found] if found else []
    return wrong
