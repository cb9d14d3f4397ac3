"""``lcmem benchmark speed``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, examples, split_names
from lcmem.cli.benchmark.group import fail_without_numbers, group
from lcmem.cli.stopping import held


@group.command(epilog=examples("lcmem benchmark speed --detectors compact,phash,mse"))
def speed(
    detectors: Annotated[str, typer.Option(help="Comma-separated, see lcmem detectors; or all.")] = "all",
    device: Device = "cpu",
    out: Annotated[Path, typer.Option(help="Folder for speed.csv.")] = Path("lcmem-benchmark"),
    download: Download = False,
) -> None:
    """Pictures and pairs in a second, and memory, of each detector on this machine."""
    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import check_name, known_detectors
    from lcmem.evaluation.speed import benchmark_speed
    from lcmem.jobs.output import claim_output

    names = list(known_detectors()) if detectors == "all" else split_names(detectors)
    for name in names:
        check_name(name)
    held(claim_output(out, "benchmark speed", {}))
    table = benchmark_speed(names, out, options=Options(device, download))
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.1f}", na_rep=""))
    typer.echo(f"table: {out / 'speed.csv'}")
    fail_without_numbers(table)
