"""What the commands of ``lcmem benchmark`` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import MEASURE, app
from lcmem.cli.pictures import Reading
from lcmem.cli.remarks import remark
from lcmem.cli.stopping import held

if TYPE_CHECKING:
    import pandas as pd

    from lcmem.pictures.manifest import Manifest

group = typer.Typer(help="Measure detectors on labelled pictures.", no_args_is_help=True)
app.add_typer(group, name="benchmark", rich_help_panel=MEASURE)

Detectors = Annotated[
    str, typer.Option(help="Comma-separated: names that `lcmem detectors` lists, a checkpoint's folder, NAME=FOLDER.")
]
Cache = Annotated[Path | None, typer.Option(help="Folder for decoded pictures and features. Default: OUT/cache.")]


def benchmark_pictures(data: Path, detectors: list[str], out: Path, command: str, reading: Reading) -> "Manifest":
    """The pictures to measure on, after everything that can be wrong without them has been looked at.

    Args:
        data: As of :meth:`lcmem.pictures.manifest.Manifest.read`.
        detectors: Names to be checked.
        out: Folder for the results.
        command: The benchmark's name.
        reading: How they are read.

    Raises:
        LCMemError: An unknown detector, a folder that may not be used, or no pictures.
    """
    from lcmem.detectors.registry import check_name
    from lcmem.jobs.output import check_output, claim_output
    from lcmem.pictures.hints import identity_advice

    for name in detectors:
        check_name(name)
    check_output(out, f"benchmark {command}", {"data": data})
    manifest = reading.manifest(data)
    held(claim_output(out, f"benchmark {command}", {"data": data}))
    if not manifest.labelled:
        remark(f"{data}: {identity_advice(manifest)}")
    return manifest


def chosen_split(manifest: "Manifest", split: str | None) -> str | None:
    """What was asked for; else ``test`` where there is one."""
    return split or ("test" if "test" in set(manifest.table["split"]) else None)


def fail_without_numbers(table: "pd.DataFrame") -> None:
    """End a benchmark that could measure no detector with exit code 1."""
    if not (table["status"] == "ok").any():
        raise typer.Exit(1)
