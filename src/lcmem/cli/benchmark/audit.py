"""``lcmem benchmark audit``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, FalsePositiveRate, examples, split_names
from lcmem.cli.benchmark.group import Detectors, benchmark_pictures, chosen_split, fail_without_numbers, group
from lcmem.cli.pictures import AS_IS, Reading, asked_rate, reading_options


@group.command(name="audit", epilog=examples("lcmem benchmark audit --data manifest.csv --detectors compact,sface"))
@reading_options
def audit(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Detectors = "compact",
    split: Annotated[
        str | None, typer.Option(help="Split whose pictures are audited. Default: test, if there is one; or all.")
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    pictures: Annotated[int, typer.Option(min=1, help="Maximum number of synthetic pictures of each kind.")] = 200,
    out: Annotated[Path, typer.Option(help="Folder for audits.csv.")] = Path("lcmem-benchmark"),
    reading: Reading = AS_IS,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """What an audit finds: other photos, edits, round trips, and by mistake pictures of people never seen."""
    from lcmem.detectors.entry import Options
    from lcmem.evaluation.audits import benchmark_audit

    names = split_names(detectors)
    manifest = benchmark_pictures(data, names, out, "audit", reading)
    test = manifest.select(split=chosen_split(manifest, split))
    rate = asked_rate(false_positive_rate)
    table = benchmark_audit(test, names, out, rate=rate, pictures=pictures, options=Options(device, download))
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    typer.echo(f"table: {out / 'audits.csv'}")
    fail_without_numbers(table)
