"""The command line: each command parses, calls and prints. Heavy imports happen inside the commands."""

import gc
import sys
from errno import ENOSPC

COMMANDS = (
    "audit", "calibrate", "review", "filter", "check", "demo",
    "index", "search", "scan", "duplicates", "score", "atlas",
    "manifest", "unpack", "datasets", "encode", "train",
    "metrics", "experiment", "benchmark", "detectors",
)  # fmt: skip
"""Modules of this package that bring commands, in the order of ``lcmem --help``."""

ALLOCATIONS = 10_000
"""Between two looks for garbage. Libraries allocate millions of objects while they load, all of which stay: with
Python's 700 a command starts a second later."""


def main() -> None:
    """Entry point: bad input and interruptions end with one line on standard error and an exit code of their own."""
    gc.set_threshold(ALLOCATIONS)
    try:
        _run()
    except KeyboardInterrupt:  # so early that no command had begun
        print("lcmem: interrupted", file=sys.stderr)
        sys.exit(130)


def _run() -> None:
    import io
    from importlib import import_module

    import typer

    from lcmem.cli.app import app
    from lcmem.cli.remarks import plain_warnings
    from lcmem.cli.stopping import catch_termination
    from lcmem.errors import LCMemError

    catch_termination()
    for name in COMMANDS:
        import_module(f"lcmem.cli.{name}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file in an old code page cannot hold every character
            stream.reconfigure(errors="replace")
    try:
        with plain_warnings():
            app(prog_name="lcmem")
    except (LCMemError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        typer.secho(f"lcmem: {_said(error)}", fg="red", err=True)
        sys.exit(1)


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == ENOSPC:
        place = error.filename2 or error.filename or "the disk"  # of a file that was moved there, the second
        return f"{place}: no space left; make some, and the same command goes on"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{str(error.filename).removesuffix('.partial')}: {error.strerror.lower()}"
    return str(error)
