"""``lcmem experiment``: the paper's generation experiment and what filters are criticised for, on pictures of yours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import MEASURE, Device, Download, Model, app, examples, quiet_trainer, resumable, split_names

if TYPE_CHECKING:
    import pandas as pd

    from lcmem.generation.diffusion.bench import Bench

SHOWN = {
    "table3": ["strategy", "fd", "irs", "paired", "paired_calibrated", "one_vs_all", "redrawn_drawn"],
    "size-curve": ["pictures", "samples", "holdout", "threshold"],
    "near-duplicates": ["detector", "set", "sigma", "flagged", "agreeing", "status"],
    "latent-filter": ["set", "pictures", "flagged_latents", "flagged_pictures", "same_verdict", "difference_95"],
}
"""The experiments, and the columns of their tables that are printed."""


@app.command(
    rich_help_panel=MEASURE,
    epilog=examples(
        "lcmem experiment table3 --data pack/ --datasets nih,ham10000 --preset cpu --out runs/table3",
        "lcmem experiment size-curve --data pack/ --preset smoke --out runs/sizes",
        "lcmem experiment near-duplicates --data pack/ --preset cpu --out runs/sizes --detectors compact,phash,ncc",
        "lcmem experiment latent-filter --data pack/ --model compact-latent --set size=256 --out runs/latents",
    ),
)
def experiment(
    kind: Annotated[str, typer.Argument(help="table3, size-curve, near-duplicates or latent-filter.")],
    data: Annotated[
        list[str], typer.Option(help="Pictures with splits train and test, and labels; may be given several times.")
    ],
    datasets: Annotated[str, typer.Option(help="Datasets to use, separated by commas. Default: all.")] = "",
    preset: Annotated[str, typer.Option(help="smoke (minutes), cpu (hours) or paper (GPUs).")] = "smoke",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. generator.steps=200.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to. The same command goes on there.")] = Path(
        "lcmem-experiment"
    ),
    detectors: Annotated[
        str, typer.Option(help="For near-duplicates: detectors, separated by commas, or all of the registry.")
    ] = "all",
    features: Annotated[str, typer.Option(help="Detector on whose features FD and IRS are computed.")] = (
        "efficientnet-lite0"
    ),
    model: Model = "compact",
    device: Device = "cpu",
    devices: Annotated[
        int, typer.Option(min=1, help="How many of them to train on; each batch is shared among them.")
    ] = 1,
    download: Download = False,
) -> None:
    """Train small generators on your pictures and measure what they give away. Killed, the same command goes on."""
    from lcmem.errors import LCMemError, extra

    if kind not in SHOWN:
        raise LCMemError(f"unknown experiment {kind!r}; known: {', '.join(SHOWN)}")
    with extra("generation", "experiments need more packages"):
        from lcmem.generation.diffusion.settings import load_preset
        from lcmem.training.fit import RunOptions
    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import check_name, load_detector
    from lcmem.generation.diffusion.bench import Bench, read_datasets
    from lcmem.locks import alone_in

    for name in [] if detectors == "all" else split_names(detectors):
        check_name(name)
    chosen = load_preset(preset).with_settings(settings or [])
    options = Options(device, download)
    quiet_trainer()
    with resumable(), alone_in(out):
        bench = Bench.open(
            read_datasets(data, split_names(datasets)),
            chosen,
            out,
            load_detector(model, options),
            load_detector(features, options),
            RunOptions(device, devices),
            allow_download=download,
        )
        _run(kind, bench, detectors)


def _run(kind: str, bench: "Bench", detectors: str) -> None:
    from rich.console import Console

    table, target = _table(kind, bench, detectors)
    found = table[[column for column in SHOWN[kind] if column in table]]
    Console().print(found.to_string(index=False, float_format="{:.4g}".format), soft_wrap=True, highlight=False)
    typer.echo(f"table: {target}")


def _table(kind: str, bench: "Bench", detectors: str) -> "tuple[pd.DataFrame, Path]":
    from lcmem.detectors.registry import known_detectors
    from lcmem.jobs.experiment.latents import latent_filter
    from lcmem.jobs.experiment.near_duplicates import near_duplicates
    from lcmem.jobs.experiment.sizes import size_curve
    from lcmem.jobs.experiment.table3 import table3

    if kind == "table3":
        return table3(bench), bench.folder / "table3.csv"
    if kind == "size-curve":
        return size_curve(bench), bench.folder / "sizes.csv"
    if kind == "latent-filter":
        return latent_filter(bench), bench.folder / "latent_filter.csv"
    names = list(known_detectors()) if detectors == "all" else split_names(detectors)
    return near_duplicates(bench, names), bench.folder / "near_duplicates.csv"
