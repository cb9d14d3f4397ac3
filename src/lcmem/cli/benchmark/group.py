"""What the commands of ``lcmem benchmark`` share."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import app

group = typer.Typer(help="Measure detectors on labelled pictures.", no_args_is_help=True)
app.add_typer(group, name="benchmark")

Cache = Annotated[Path | None, typer.Option(help="Folder for decoded pictures and features. Default: OUT/cache.")]


def split_names(text: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
