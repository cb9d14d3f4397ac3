"""Command lines that are run in this process: where the process itself is not the claim, another one costs seconds."""

import io
import os
import signal
import subprocess
import sys
import time
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


def lcmem_killed_at(path, *arguments):
    """Run ``lcmem ARGUMENTS`` in a copy of this process, which has loaded everything, and kill it once a file is there.

    Threads do not survive in a copy: call it with ``torch.set_num_threads(1)``. What the command prints is lost.
    """
    child = os.fork()
    if not child:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            sys.stdout = sys.stderr = os.fdopen(nowhere, "w")
            sys.argv = ["lcmem", *map(str, arguments)]
            main()
        finally:
            os._exit(1)
    while not path.is_file() and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
