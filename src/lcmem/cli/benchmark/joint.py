"""``lcmem benchmark joint``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import examples
from lcmem.cli.benchmark.group import group


@group.command(epilog=examples("lcmem benchmark joint --out lcmem-benchmark"))
def joint(
    out: Annotated[Path, typer.Option(help="Folder with reid.csv and copy.csv; gets joint.csv, .png and .svg.")] = Path(
        "lcmem-benchmark"
    ),
) -> None:
    """Re-identification against copy detection: one picture of what both benchmarks found."""
    from lcmem.evaluation.joint import joint as put_together

    table = put_together(out)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    typer.echo(f"figure: {out / 'joint.png'}")
