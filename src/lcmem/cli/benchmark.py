"""``lcmem benchmark``: how well detectors separate identities and copies."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, Encoder, Size, app

group = typer.Typer(help="Measure detectors on labelled pictures.", no_args_is_help=True)
app.add_typer(group, name="benchmark")


@group.command()
def reid(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Annotated[
        str, typer.Option(help="Comma-separated: mse, ncc, ssim, a bundled model's name, a checkpoint's folder.")
    ] = "mse,ncc,ssim,compact",
    split: Annotated[str | None, typer.Option(help="Split of the manifest to use. Default: everything.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for reid.csv and pairs.csv.")] = Path("lcmem-benchmark"),
) -> None:
    """Re-identification: AUC and specificity at 99 % sensitivity, for each dataset and detector."""
    from lcmem.benchmark import benchmark_reid
    from lcmem.manifest import Manifest

    manifest = Manifest.read(data)
    if split is not None:
        manifest = manifest.select(split=split)
    table = benchmark_reid(manifest, detectors.split(","), out)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    typer.echo(f"table: {out / 'reid.csv'}")


@group.command()
def autoencoder(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip.")],
    encoder: Encoder = "compact-autoencoder",
    split: Annotated[str | None, typer.Option(help="Split of the manifest to use. Default: everything.")] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for autoencoder.csv.")] = Path("lcmem-benchmark"),
    download: Download = False,
) -> None:
    """Round trip of an autoencoder: PSNR for each dataset, and time to encode."""
    from lcmem.benchmark.autoencoder import benchmark_autoencoder
    from lcmem.encoders import load_encoder
    from lcmem.manifest import Manifest

    manifest = Manifest.read(data)
    if split is not None:
        manifest = manifest.select(split=split)
    table = benchmark_autoencoder(manifest, load_encoder(encoder, allow_download=download), size, out)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.2f}"))


@group.command()
def speed(
    detectors: Annotated[str, typer.Option(help="Comma-separated, see lcmem detectors; or all.")] = "all",
    device: Device = "cpu",
    out: Annotated[Path, typer.Option(help="Folder for speed.csv.")] = Path("lcmem-benchmark"),
    download: Download = False,
) -> None:
    """Pictures and pairs in a second, and memory, of each detector on this machine."""
    from lcmem.benchmark.speed import benchmark_speed
    from lcmem.detectors.registry import REGISTRY, Options

    names = list(REGISTRY) if detectors == "all" else detectors.split(",")
    table = benchmark_speed(names, out, options=Options(device, download))
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.1f}", na_rep=""))
    typer.echo(f"table: {out / 'speed.csv'}")
