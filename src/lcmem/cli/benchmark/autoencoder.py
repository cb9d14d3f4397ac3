"""``lcmem benchmark autoencoder``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Download, Encoder, Size, examples
from lcmem.cli.benchmark.group import group
from lcmem.cli.pictures import AS_IS, Reading, reading_options
from lcmem.cli.stopping import held


@group.command(epilog=examples("lcmem benchmark autoencoder --data manifest.csv --split test"))
@reading_options
def autoencoder(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip.")],
    encoder: Encoder = "compact-autoencoder",
    split: Annotated[str | None, typer.Option(help="Split of the manifest to use. Default: everything.")] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for autoencoder.csv.")] = Path("lcmem-benchmark"),
    reading: Reading = AS_IS,
    download: Download = False,
) -> None:
    """Round trip of an autoencoder: PSNR for each dataset, and time to encode."""
    from lcmem.encoders import load_encoder
    from lcmem.evaluation.autoencoder import benchmark_autoencoder
    from lcmem.jobs.output import check_output, claim_output

    check_output(out, "benchmark autoencoder", {"data": data})
    manifest = reading.manifest(data).select(split=split)
    held(claim_output(out, "benchmark autoencoder", {"data": data}))
    table = benchmark_autoencoder(manifest, load_encoder(encoder, allow_download=download), size, out)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
