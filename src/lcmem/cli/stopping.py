"""Ctrl-C and SIGTERM end a command with one line and the exit code that a shell expects."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup


class Terminated(KeyboardInterrupt):
    """SIGTERM: what cleans up after Ctrl-C cleans up after this, too."""


def catch_termination() -> None:
    """Have SIGTERM raise :class:`Terminated` in this process."""
    signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def stopping(hint: str = "") -> Iterator[None]:
    """End a command that is stopped: exit code 130 after Ctrl-C, 143 after SIGTERM.

    Args:
        hint: What else to say.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        word, code = ("terminated", 143) if isinstance(stop, Terminated) else ("interrupted", 130)
        typer.secho(f"lcmem: {word}{hint}", fg="yellow", err=True)
        raise typer.Exit(code) from None


class StoppableGroup(TyperGroup):
    """All commands; none of them ends with a traceback when it is stopped."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with stopping():
            return super().invoke(ctx)
