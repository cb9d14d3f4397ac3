"""Claims: every command is in a group and shows command lines that work; whoever stops a command gets one line."""

import os
import shlex
import signal
import subprocess
import sys
import time
from importlib import import_module
from importlib.resources import files

import pytest
import typer

import lcmem
from lcmem.cli import COMMANDS
from lcmem.cli.app import AUDIT, MEASURE, SEARCH, TRAIN, app

MODULE = [sys.executable, "-m", "lcmem"]


def all_commands():
    """Name and command of each, groups apart."""
    for name in COMMANDS:
        import_module(f"lcmem.cli.{name}")
    top = typer.main.get_command(app)
    for name, command in top.commands.items():
        members = getattr(command, "commands", {})
        yield from ([(f"{name} {member}", one) for member, one in members.items()] or [(name, command)])


def test_every_command_is_in_a_group():
    assert [*all_commands()]
    commands = typer.main.get_command(app).commands.values()
    assert {command.rich_help_panel for command in commands} == {AUDIT, SEARCH, TRAIN, MEASURE}


@pytest.mark.parametrize(
    ("name", "command"), [*all_commands()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_examples_of_every_help_are_valid_command_lines(name, command):
    title, *lines = command.epilog.split("\n\n")
    assert title == "Examples:" and lines
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])
        assert words[: 1 + len(name.split())] == ["lcmem", *name.split()]
        command.make_context(name, words[1 + len(name.split()) :])  # exits if an option or a value is wrong


def test_the_module_runs_and_knows_its_version():
    done = subprocess.run([*MODULE, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == lcmem.__version__ and done.returncode == 0
    assert "Examples:" in subprocess.run([*MODULE, "scan", "--help"], capture_output=True, text=True).stdout


def test_type_checkers_see_the_types():
    assert files("lcmem").joinpath("py.typed").is_file()


def test_a_shell_completes_commands():
    asked = {"_LCMEM_COMPLETE": "complete_bash", "COMP_WORDS": "lcmem be", "COMP_CWORD": "1"}
    done = subprocess.run(MODULE, capture_output=True, text=True, timeout=60, env=os.environ | asked)
    assert done.stdout.split() == ["benchmark"]


def test_too_few_workers_are_refused():
    done = subprocess.run([*MODULE, "check", ".", "--workers", "-3"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--workers" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("module", "name", "code", "word"),
    [
        ("lcmem.cli.train", "SIGINT", 130, "interrupted"),
        ("torch", "SIGINT", 130, "interrupted"),
        ("torch", "SIGTERM", 143, "terminated"),
    ],
)
def test_stopped_while_it_still_loads(module, name, code, word):
    """The signal comes in the middle of an import, before anything has begun that could go on."""
    program = (
        "import os, signal, sys\n"
        "class Stop:\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.{name})\n"
        "sys.meta_path.insert(0, Stop)\n"
        "from lcmem.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "compare", "a.png", "b.png"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (code, f"lcmem: {word}\n")


def test_terminated_in_the_middle_of_its_work(faces, tmp_path):
    """As a scheduler does it; what was encoded is kept."""
    process = subprocess.Popen(
        [*MODULE, "index", str(faces), "--out", str(tmp_path / "atlas")], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    journal = tmp_path / "atlas" / "shards" / "00000.keys"
    while not (journal.is_file() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "lcmem: terminated; the same command goes on where it stopped\n"
