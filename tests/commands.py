"""Command lines that are run in this process: where the process itself is not the claim, another one costs seconds."""

import io
import os
import signal
import subprocess
import sys
import sysconfig
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

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


def lcmem_copied(*arguments, log=os.devnull):
    """Start ``lcmem ARGUMENTS`` in a copy of this process, which has loaded everything; the number of that process.

    Threads do not survive in a copy: call it with ``torch.set_num_threads(1)``. ``log`` gets what it prints.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            printed = os.open(log, os.O_WRONLY | os.O_CREAT)
            for stream in (1, 2):
                os.dup2(printed, stream)
            sys.stdout = sys.stderr = os.fdopen(printed, "w")
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a test process may ignore it
            sys.argv = [str(Path(sysconfig.get_path("scripts")) / "lcmem"), *map(str, arguments)]
            sys.modules["__main__"].__spec__ = None  # what starts further processes starts that script
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else bool(stop.code)
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
            finally:
                os._exit(code)
    return child


def lcmem_interrupted_at(journal, log, *arguments):
    """Run ``lcmem ARGUMENTS`` as :func:`lcmem_copied` does until a file has content; what Ctrl-C then leads to."""
    child, ended, deadline = lcmem_copied(*arguments, log=log), (0, 0), time.monotonic() + 200
    told = False
    while ended == (0, 0):
        if not told and journal.is_file() and journal.stat().st_size:
            os.kill(child, signal.SIGINT)
            told = True
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
        ended = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(ended[1]), log.read_text()


def lcmem_killed_at(path, *arguments):
    """Run ``lcmem ARGUMENTS`` as :func:`lcmem_copied` does, and kill it once a file is there."""
    child = lcmem_copied(*arguments)
    while not path.is_file() and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
