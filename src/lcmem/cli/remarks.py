"""What a person should know besides, as lines on standard error."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from lcmem.errors import LCMemWarning


def remark(text: str) -> None:
    """Say what does not belong to a command's output."""
    typer.secho(text, fg="yellow", err=True)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each :class:`lcmem.errors.LCMemWarning` as a line on standard error, without a place in the program."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", LCMemWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
            if issubclass(category, LCMemWarning):
                remark(f"lcmem: {message}")
            else:
                usual(message, category, *place, **options)

        warnings.showwarning = show
        yield
