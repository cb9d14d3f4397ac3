"""``lcmem benchmark``: how well detectors separate identities and copies."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import Device, Download, Encoder, Size, app, resumable

if TYPE_CHECKING:
    import pandas as pd

group = typer.Typer(help="Measure detectors on labelled pictures.", no_args_is_help=True)
app.add_typer(group, name="benchmark")


@group.command()
def reid(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Annotated[
        str,
        typer.Option(
            help="Comma-separated: mse, ncc, ssim, a bundled model's name, a checkpoint's folder, NAME=FOLDER."
        ),
    ] = "mse,ncc,ssim,compact",
    split: Annotated[
        str | None, typer.Option(help="Split to use. Default: test, if there is one and no --pairs are given; or all.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="How negative pairs are drawn: fixed (at random) or paper (as in the official code).")
    ] = "fixed",
    pairs: Annotated[
        Path | None, typer.Option(help="A list to take instead: LFW's pairs.txt, or a pairs.csv written before.")
    ] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for reid.csv, .md, .png, .svg and pairs.csv.")] = Path(
        "lcmem-benchmark"
    ),
    cache: Annotated[Path | None, typer.Option(help="Folder for pictures and features. Default: OUT/cache.")] = None,
    device: Device = "cpu",
    download: Download = False,
    seed: Annotated[int, typer.Option(help="Of negative pairs and of the bootstrap.")] = 0,
    bootstrap: Annotated[int, typer.Option(min=1, help="Replicates for the 95 % intervals.")] = 1000,
) -> None:
    """Re-identification (paper, table 2): AUC, specificity, error rates and retrieval, by dataset and detector."""
    from lcmem.benchmark import benchmark_reid
    from lcmem.detectors.registry import Options
    from lcmem.manifest import Manifest

    manifest = Manifest.read(data)
    if split is None and pairs is None and "test" in set(manifest.table["split"]):
        split = "test"
    table = benchmark_reid(
        manifest if split is None else manifest.select(split=split),
        [name.strip() for name in detectors.split(",")],
        out,
        protocol=protocol,
        pairs=pairs,
        size=size,
        cache=cache,
        options=Options(device, download),
        seed=seed,
        bootstrap=bootstrap,
    )
    print_reid(table, split)
    typer.echo(f"tables: {out / 'reid.csv'}, {out / 'reid.md'}")
    typer.echo(f"figure: {out / 'reid.png'}, {out / 'reid.svg'}")
    typer.echo(f"pairs: {out / 'pairs.csv'}")
    if not (table["status"] == "ok").any():
        raise typer.Exit(1)


def print_reid(table: "pd.DataFrame", split: str | None) -> None:
    """The numbers that matter, one line for each dataset and detector, and which detectors failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = {
        "specificity_at_99_sensitivity": "specificity",
        "precision_at_99_recall": "precision",
        "map_at_r": "MAP@R",
        "precision_at_1": "P@1",
        "accuracy": "accuracy",
    }
    known = {name: title for name, title in shown.items() if name in table}
    title = f"re-identification, protocol {table['protocol'].iloc[0]}, split {split or 'all'}"
    lines = Table("dataset", "detector", "pairs", "AUC", "95 % interval", *known.values(), title=title)
    for row in table[table["status"] == "ok"].to_dict("records"):
        numbers = ["–" if row[name] != row[name] else f"{row[name]:.3f}" for name in ("auc", *known)]
        interval = f"{row['auc_low']:.3f} to {row['auc_high']:.3f}"
        pairs = str(row["n_positive"] + row["n_negative"])
        lines.add_row(row["dataset"], row["detector"], pairs, numbers[0], interval, *numbers[1:])
    console = Console()
    console.print(lines)
    for row in table[table["status"] != "ok"].drop_duplicates("detector").itertuples():
        reason = escape(f"{row.detector} was not measured: {row.status}")
        console.print(f"[yellow]{reason}[/]", soft_wrap=True, highlight=False)


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
