"""``lcmem benchmark one-vs-all``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, Size, examples, split_names
from lcmem.cli.benchmark.group import Cache, benchmark_pictures, chosen_split, fail_without_numbers, group
from lcmem.cli.pictures import AS_IS, Reading, reading_options


@group.command(
    name="one-vs-all", epilog=examples("lcmem benchmark one-vs-all --data manifest.csv --threshold-split val")
)
@reading_options
def one_vs_all(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Annotated[str, typer.Option(help="Comma-separated: a bundled model's name, a checkpoint's folder.")] = (
        "compact"
    ),
    split: Annotated[
        str | None, typer.Option(help="Split to compare with itself. Default: test, if there is one; or all.")
    ] = None,
    threshold_split: Annotated[
        str | None, typer.Option(help="Split on which a stricter threshold is calibrated as well, e.g. val.")
    ] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for one_vs_all.csv and figures.")] = Path("lcmem-benchmark"),
    cache: Cache = None,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Every picture with every other one: scores of all pairs, and pictures that would be rejected by mistake."""
    from lcmem.detectors.entry import Options
    from lcmem.evaluation.one_vs_all import benchmark_one_vs_all

    names = split_names(detectors)
    manifest = benchmark_pictures(data, names, out, "one-vs-all", reading)
    test = manifest.select(split=chosen_split(manifest, split))
    val = None if threshold_split is None else manifest.select(split=threshold_split)
    options = Options(device, download)
    table = benchmark_one_vs_all(test, val, names, out, size=size, cache=cache, options=options)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    typer.echo(f"table: {out / 'one_vs_all.csv'}")
    fail_without_numbers(table)
