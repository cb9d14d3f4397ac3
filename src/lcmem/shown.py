"""Results in a few lines, for consoles and notebooks."""

from collections.abc import Sequence
from html import escape

Rows = Sequence[tuple[str, str]]
"""Names and values."""


def as_text(title: str, rows: Rows) -> str:
    """A title and a line for each row, the values below each other."""
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join((title, *(f"  {name:<{width}}  {value}" for name, value in rows)))


def as_html(title: str, rows: Rows) -> str:
    """The same as a table for a notebook."""
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table><caption>{escape(title)}</caption>{lines}</table>"
