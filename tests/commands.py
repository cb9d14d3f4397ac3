"""Command lines that are run in this process: where the process itself is not the claim, another one costs seconds."""

import io
import signal
import subprocess
from contextlib import redirect_stderr, redirect_stdout

import pytest

from lcmem.cli import main


def lcmem(*arguments, cwd="."):
    """Run ``lcmem ARGUMENTS`` in a folder; exit code, ``stdout`` and ``stderr`` as of :func:`subprocess.run`."""
    words = ["lcmem", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr("sys.argv", words)
            patch.chdir(cwd)
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
