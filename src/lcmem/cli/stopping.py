"""How a command ends: it lets go of its folder, and Ctrl-C and SIGTERM end it with one line and an exit code."""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from lcmem.cli.remarks import remark
from lcmem.progress import asked

T = TypeVar("T")
_running: ContextVar[ExitStack] = ContextVar("running")


class Terminated(KeyboardInterrupt):
    """SIGTERM: what cleans up after Ctrl-C cleans up after this, too."""


def catch_termination() -> None:
    """Have SIGTERM raise :class:`Terminated` in this process."""
    signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    asked.append(Terminated)
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
        remark(f"lcmem: {word}{hint}")
        raise typer.Exit(code) from None


def held(resource: AbstractContextManager[T]) -> T:
    """Enter a context, such as of a claimed folder, that is left when the command ends."""
    return _running.get().enter_context(resource)


class CommandGroup(TyperGroup):
    """All commands; none of them ends with a traceback when it is stopped."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        asked.clear()
        with stopping(), ExitStack() as stack:
            _running.set(stack)
            return super().invoke(ctx)
