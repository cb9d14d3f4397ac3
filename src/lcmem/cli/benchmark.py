"""``lcmem benchmark``: how well detectors separate identities and copies."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, Encoder, Size, app, resumable

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


@group.command(name="one-vs-all")
def one_vs_all(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Annotated[str, typer.Option(help="Comma-separated: a bundled model's name, a checkpoint's folder.")] = (
        "compact"
    ),
    split: Annotated[str | None, typer.Option(help="Split to compare with itself. Default: everything.")] = None,
    threshold_split: Annotated[
        str | None, typer.Option(help="Split on which a stricter threshold is calibrated as well, e.g. val.")
    ] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for one_vs_all.csv and figures.")] = Path("lcmem-benchmark"),
    cache: Annotated[Path | None, typer.Option(help="Folder for pictures and features. Default: OUT/cache.")] = None,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Every picture with every other one: scores of all pairs, and pictures that would be rejected by mistake."""
    from lcmem.benchmark.one_vs_all import benchmark_one_vs_all
    from lcmem.detectors.registry import Options
    from lcmem.manifest import Manifest

    manifest = Manifest.read(data)
    test = manifest if split is None else manifest.select(split=split)
    val = None if threshold_split is None else manifest.select(split=threshold_split)
    options = Options(device, download)
    table = benchmark_one_vs_all(test, val, detectors.split(","), out, size=size, cache=cache, options=options)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    typer.echo(f"table: {out / 'one_vs_all.csv'}")


@group.command()
def ablation(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet) with the splits train, val and test.")],
    recipes: Annotated[
        str | None, typer.Option(help="Comma-separated presets or TOML files. Default: the ten rows of table 4.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of every recipe.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to measure on; nothing is trained on it.")] = "test",
    out: Annotated[Path, typer.Option(help="Folder for ablation.csv and a run of each recipe.")] = Path(
        "lcmem-ablation"
    ),
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Table 4: train each recipe, then accuracy, F1, precision, recall and AUC. Started again, it goes on."""
    from lcmem.benchmark.ablation import benchmark_ablation
    from lcmem.manifest import Manifest
    from lcmem.training.fit import Options
    from lcmem.training.presets import PRESETS

    chosen = recipes.split(",") if recipes else [name for name in PRESETS if name.startswith("ablation-")]
    options = Options(device=device, allow_download=download)
    with resumable():
        table = benchmark_ablation(
            Manifest.read(data), chosen, out, settings=settings or [], split=split, options=options
        )
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    typer.echo(f"table: {out / 'ablation.csv'}")
