"""Progress bars with speed and time left, on standard error, silent where nobody watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Advance(Protocol):
    """Tells a progress bar that ``count`` more items are done."""

    def __call__(self, count: int) -> None:
        """``count`` more items are done."""


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Items a second."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


@contextmanager
def progress_bar(title: str, total: int, *, done: int = 0) -> Iterator[Advance]:
    """Show progress over ``total`` items, of which ``done`` need no work."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda count: bar.advance(task, count)
