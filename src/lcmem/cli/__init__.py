"""The command line: each command parses, calls and prints. Heavy imports happen inside the commands."""

import io
import sys

import typer

from lcmem.cli.app import app
from lcmem.errors import LCMemError


def main() -> None:
    """Entry point: bad input ends with one line on standard error and exit code 1."""
    from lcmem.cli import (  # noqa: F401
        atlas,
        audit,
        benchmark,
        check,
        datasets,
        demo,
        detectors,
        duplicates,
        encode,
        index,
        manifest,
        scan,
        score,
        search,
        train,
    )

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file in an old code page cannot hold every character
            stream.reconfigure(errors="replace")
    try:
        app()
    except (LCMemError, OSError) as error:  # OSError: a full disk, a folder that may not be written
        typer.secho(f"lcmem: {error}", fg="red", err=True)
        sys.exit(1)
