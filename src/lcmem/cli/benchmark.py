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
def copy(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet) with splits, or a folder divided into them.")],
    detectors: Annotated[
        str,
        typer.Option(help="Comma-separated: detectors, bundled models, checkpoints' folders, NAME=FOLDER."),
    ] = "mse,ncc,ssim,compact",
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
    cache: Annotated[Path | None, typer.Option(help="Folder for decoded pictures and features.")] = None,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Copy detection: recall of edited copies beside the false positive rate, by edit, strength and detector."""
    from lcmem.benchmark.copy import benchmark_copy
    from lcmem.benchmark.copy_figures import example_figure, save
    from lcmem.detectors.registry import Options
    from lcmem.manifest import Manifest

    table = benchmark_copy(
        Manifest.read(data),
        detectors.split(","),
        out,
        pictures=pictures,
        transforms=transforms.split(",") if transforms else None,
        protocol=protocol,
        split=split,
        threshold_split=threshold_split,
        size=size,
        cache=cache,
        options=Options(device, download),
    )
    if example is not None:
        save(example_figure(example), out / "copy-example")
    for row in table[table["status"] != "ok"].itertuples():
        typer.echo(f"{row.detector}: {row.status}", err=True)
    typer.echo((out / "copy.md").read_text(encoding="utf-8"))
    typer.echo(f"table: {out / 'copy.csv'}")


@group.command()
def joint(
    out: Annotated[Path, typer.Option(help="Folder with reid.csv and copy.csv; gets joint.csv, .png and .svg.")] = Path(
        "lcmem-benchmark"
    ),
) -> None:
    """Re-identification against copy detection: one picture of what both benchmarks found."""
    from lcmem.benchmark.joint import joint as put_together

    table = put_together(out)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    typer.echo(f"figure: {out / 'joint.png'}")
