"""Damaged files of every kind that is read: each is read, or refused with one clear line; nothing crashes or hangs."""

import multiprocessing
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd
from fuzz_files import Kind, kinds

from lcmem.errors import LCMemError

SLOW, STUCK = 20, 90
"""Seconds after which a file counts as a hang: for Python code, and for libraries that do not listen."""
MEMORY = 16 * 2**30
"""Address space of a reader, in bytes: a file that unpacks to more ends it."""
TOKENS = (b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"-1", b"1e999", b"NaN", b"{}", b"..", b'"')


@dataclass
class Findings:
    """What became of the files of one kind."""

    read: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    megabytes: int = 0


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four random changes: bytes altered, cut off, taken out, doubled, or replaced by what parsers trip over."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        size = max(1, len(changed))
        near = int(rng.integers(min(size, 512)))  # most of what parsers read stands at the beginning or the end
        at = (int(rng.integers(size)), near, size - 1 - near)[rng.integers(3)]
        span = int(rng.integers(1, max(2, min(size, 256))))
        token = TOKENS[rng.integers(len(TOKENS))]
        match rng.integers(6):
            case 0:
                changed[at : at + 1] = bytes([int(rng.integers(256))])
            case 1:
                del changed[at:]
            case 2:
                del changed[at : at + span]
            case 3:
                changed[at:at] = changed[at : at + span]
            case 4:
                changed[at : at + len(token)] = token
            case _:
                changed[at : at + span] = rng.bytes(span)
    return bytes(changed)


def plan(every: dict[str, Kind], files: int) -> list[str]:
    """The kind of each file."""
    ends = np.rint(np.cumsum([0, *(kind.share for kind in every.values())]) / 100 * files).astype(int)
    return [name for name, (start, end) in zip(every, pairwise(ends), strict=True) for _ in range(end - start)]


def write_case(kind: Kind, folder: Path, seed: list[int]) -> Path:
    """A damaged file; of kinds that are folders, the folder."""
    rng = np.random.default_rng(seed)
    shutil.rmtree(folder, ignore_errors=True)
    name, data = kind.seeds[rng.integers(len(kind.seeds))]
    whole = hasattr(kind.read, "whole_folder")
    for other, content in [*(kind.seeds if whole else ()), (name, damaged(data, rng))]:
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    return folder if whole else folder / name


def _stop(*_: object) -> None:
    raise TimeoutError(f"not done after {SLOW} s")


def _outcome(kind: Kind, path: Path) -> str:
    """``read``, ``refused``, or the traceback."""
    signal.alarm(SLOW)
    try:
        kind.read(path)
        return "read"
    except LCMemError as error:
        return "refused" if str(error) and "\n" not in str(error) and " object at 0x" not in str(error) else repr(error)
    except Exception:
        return traceback.format_exc()
    finally:
        signal.alarm(0)


def _reader(every: dict[str, Kind], cases: list[tuple[int, str]], seed: int, folder: Path, results: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("ignore")
    for number, name in cases:
        path = write_case(every[name], folder / "case", [seed, number])
        outcome = _outcome(every[name], path)
        results.send((number, outcome, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def fuzz(files: int, seed: int, folder: Path, until: float) -> dict[str, Findings]:
    """Read so many damaged files, in processes of their own.

    Args:
        files: How many; the shares of the kinds are fixed.
        seed: Decides the damage: file ``n`` of a seed is always the same, given the same libraries.
        folder: An empty one to work in.
        until: Time (of :func:`time.monotonic`) to stop with what was done. Kinds come in random order.
    """
    every = kinds(folder)
    cases = list(enumerate(np.random.default_rng(seed).permutation(plan(every, files)).tolist()))
    found = {name: Findings() for name in every}
    while cases and time.monotonic() < until:
        cases = _run(every, cases, seed, folder, found, until)
    return found


def _run(
    every: dict[str, Kind],
    cases: list[tuple[int, str]],
    seed: int,
    folder: Path,
    found: dict[str, Findings],
    until: float,
) -> list[tuple[int, str]]:
    """Read files until one ends or stops the process; those that are left."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_reader, args=(every, cases, seed, folder, theirs))
    process.start()
    theirs.close()
    at, dead = 0, ""
    while at < len(cases) and not dead and time.monotonic() < until:
        number, name = cases[at]
        try:
            outcome = ours.recv()[1:] if ours.poll(STUCK) else (f"no answer for {STUCK} s", 0)
        except EOFError:
            outcome = ("the process died", 0)
        dead = outcome[0] if outcome[1] == 0 else ""
        _note(found[name], number, *outcome, folder)
        at += 1
    process.kill()
    process.join()
    return cases[at:]


def _note(findings: Findings, number: int, outcome: str, megabytes: int, folder: Path) -> None:
    findings.megabytes = max(findings.megabytes, megabytes)
    if outcome in ("read", "refused"):
        setattr(findings, outcome, getattr(findings, outcome) + 1)
    else:
        findings.failed.append(f"file {number}: {outcome}")


def tally(found: dict[str, Findings]) -> pd.DataFrame:
    """A row for each kind."""
    counts: list[dict[str, object]] = [
        {
            "kind": name,
            "files": each.read + each.refused + len(each.failed),
            "read": each.read,
            "refused with a line": each.refused,
            "tracebacks, crashes, hangs": len(each.failed),
        }
        for name, each in found.items()
    ]
    total = Counter({key: sum(row[key] for row in counts) for key in counts[0] if key != "kind"})  # type: ignore
    return pd.DataFrame([*counts, {"kind": "all", **total}])
