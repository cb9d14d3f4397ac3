"""``lcmem benchmark ablation``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import Device, Download, examples, resumable, split_names
from lcmem.cli.benchmark.group import benchmark_pictures, fail_without_numbers, group
from lcmem.cli.pictures import AS_IS, Reading, reading_options


@group.command(
    epilog=examples("lcmem benchmark ablation --data manifest.csv --recipes small,finetune --set stage1.epochs=5")
)
@reading_options
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
    reading: Reading = AS_IS,
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Table 4: train each recipe, then accuracy, F1, precision, recall and AUC. Started again, it goes on."""
    from lcmem.evaluation.ablation import benchmark_ablation
    from lcmem.training.fit import RunOptions
    from lcmem.training.presets import PRESETS

    manifest = benchmark_pictures(data, [], out, "ablation", reading)
    chosen = split_names(recipes) if recipes else [name for name in PRESETS if name.startswith("ablation-")]
    options = RunOptions(device=device, allow_download=download)
    with resumable():
        table = benchmark_ablation(manifest, chosen, out, settings=settings or [], split=split, options=options)
    typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    typer.echo(f"table: {out / 'ablation.csv'}")
    fail_without_numbers(table)
