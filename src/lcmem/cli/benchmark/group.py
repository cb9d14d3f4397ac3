"""What the commands of ``lcmem benchmark`` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import MEASURE, app

if TYPE_CHECKING:
    from lcmem.pictures.manifest import Manifest

group = typer.Typer(help="Measure detectors on labelled pictures.", no_args_is_help=True)
app.add_typer(group, name="benchmark", rich_help_panel=MEASURE)

Cache = Annotated[Path | None, typer.Option(help="Folder for decoded pictures and features. Default: OUT/cache.")]


def chosen_split(manifest: "Manifest", split: str | None) -> str | None:
    """What was asked for; else ``test`` where there is one."""
    return split or ("test" if "test" in set(manifest.table["split"]) else None)


def split_names(text: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]
