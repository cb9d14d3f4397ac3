"""Warnings of this program, as lines for people."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from lcmem.errors import LCMemWarning


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each :class:`lcmem.errors.LCMemWarning` as a line on standard error, without a place in the program."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", LCMemWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **options: Any) -> None:
            if issubclass(category, LCMemWarning):
                typer.secho(f"lcmem: {message}", fg="yellow", err=True)
            else:
                usual(message, category, *place, **options)

        warnings.showwarning = show
        yield
