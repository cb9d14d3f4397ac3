"""``lcmem benchmark copy``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, Size, examples, split_names
from lcmem.cli.benchmark.group import Cache, Detectors, benchmark_pictures, fail_without_numbers, group
from lcmem.cli.pictures import AS_IS, Reading, reading_options


@group.command(
    epilog=examples("lcmem benchmark copy --data manifest.csv --detectors phash,compact --transforms blur,noise")
)
@reading_options
def copy(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet) with splits, or a folder divided into them.")],
    detectors: Detectors = "mse,ncc,ssim,compact",
    out: Annotated[Path, typer.Option(help="Folder for copy.csv, copy.md and the figures.")] = Path("lcmem-benchmark"),
    pictures: Annotated[int, typer.Option(min=2, help="Pictures that are copied, over all datasets.")] = 1000,
    transforms: Annotated[str | None, typer.Option(help="Comma-separated, as blur,noise. Default: all.")] = None,
    protocol: Annotated[str, typer.Option(help="fixed, or paper: as published, with its known faults.")] = "fixed",
    split: Annotated[str, typer.Option(help="Split of the pictures that are copied.")] = "test",
    threshold_split: Annotated[str, typer.Option(help="Split of the pictures that thresholds are taken from.")] = "val",
    example: Annotated[
        Path | None, typer.Option(help="Also show what is done to this picture: copy-example.png and .svg.")
    ] = None,
    size: Size = 256,
    cache: Cache = None,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Copy detection: recall of edited copies beside the false positive rate, by edit, strength and detector."""
    from lcmem.detectors.entry import Options
    from lcmem.evaluation.copy.figures import example_figure
    from lcmem.evaluation.copy.run import benchmark_copy
    from lcmem.evaluation.tables import write_figure

    names = split_names(detectors)
    shown = None if example is None else example_figure(example)
    manifest = benchmark_pictures(data, names, out, "copy", reading)
    table = benchmark_copy(
        manifest,
        names,
        out,
        pictures=pictures,
        transforms=split_names(transforms) if transforms else None,
        protocol=protocol,
        split=split,
        threshold_split=threshold_split,
        size=size,
        cache=cache,
        options=Options(device, download),
    )
    if shown is not None:
        write_figure(shown, out / "copy-example")
    for row in table[table["status"] != "ok"].itertuples():
        typer.echo(f"{row.detector}: {row.status}", err=True)
    typer.echo((out / "copy.md").read_text(encoding="utf-8"))
    typer.echo(f"table: {out / 'copy.csv'}")
    fail_without_numbers(table)
