"""Progress bars with speed and time left, on standard error, silent where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Advance(Protocol):
    """Tells a progress bar that ``count`` more items are done."""

    def __call__(self, count: int) -> None:
        """``count`` more items are done."""


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items a second."""
        return Text(f"{shortened(task.speed)}/s" if task.speed else "", style="cyan")


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
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda count: bar.advance(task, count)
