"""Progress bars with speed and time left, on standard error, silent where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

asked: list[type[KeyboardInterrupt]] = []
"""What a signal asked this process to raise; a command begins with none."""
_silent: ContextVar[bool] = ContextVar("silent", default=False)


def check_stop() -> None:
    """Raise what a signal asked for: Python drops an exception that meets it in a destructor or as it forks."""
    if asked:
        raise asked[-1]


@contextmanager
def silent() -> Iterator[None]:
    """Show no bars in this block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Advance(Protocol):
    """Tells a progress bar that ``count`` more items are done."""

    def __call__(self, count: int) -> None:
        """``count`` more items are done."""


def _speed(task: Task) -> float:
    """Items a second: lately, or since the start as long as too little was seen of it; 0 where nothing is done."""
    done = task.completed - task.fields["before"]
    return task.speed or (done / task.elapsed if task.elapsed else 0)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items a second."""
        return Text(f"{shortened(_speed(task))}/s" if _speed(task) else "starting", style="cyan")


class _Left(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Time left."""
        speed = _speed(task)
        left = "" if not speed else f"{timedelta(seconds=round((task.remaining or 0) / speed))} left"
        return Text(left, style="cyan")


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items done of all."""
        return Text(f"{shortened(task.completed)}/{shortened(task.total or 0)}", style="green")


def shortened(number: float) -> str:
    """For people: 12.3, 4567, 1.23 M, 260 M, 1.5 G."""
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}" if number >= 1000 or number == int(number) else f"{number:.1f}"


@contextmanager
def progress_bar(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show progress over ``total`` items, of which ``done`` need no work."""
    console = Console(stderr=True, quiet=_silent.get())
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), _Speed(), _Left())
    with Progress(*columns, console=console, disable=console.quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, completed=done, before=done)

        def advance(count: int) -> None:
            check_stop()
            bar.advance(task, count)

        yield advance
