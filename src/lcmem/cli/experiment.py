"""``lcmem experiment``: the paper's generation experiment and what filters are criticised for, on pictures of yours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import MEASURE, Device, Download, Model, app, examples, resumable

if TYPE_CHECKING:
    from lcmem.generation.bench import Bench

KINDS = ("table3", "size-curve", "near-duplicates")


@app.command(
    rich_help_panel=MEASURE,
    epilog=examples(
        "lcmem experiment table3 --data pack/ --datasets nih,ham10000 --preset cpu --out runs/table3",
        "lcmem experiment size-curve --data pack/ --preset smoke --out runs/sizes",
        "lcmem experiment near-duplicates --data pack/ --preset cpu --out runs/sizes --detectors compact,phash,ncc",
    ),
)
def experiment(
    kind: Annotated[str, typer.Argument(help="table3, size-curve or near-duplicates.")],
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
    devices: Annotated[int, typer.Option(help="How many of them to train on; each batch is shared among them.")] = 1,
    download: Download = False,
) -> None:
    """Train small generators on your pictures and measure what they give away. Killed, the same command goes on."""
    from lcmem.errors import LCMemError, extra

    if kind not in KINDS:
        raise LCMemError(f"unknown experiment {kind!r}; known: {', '.join(KINDS)}")
    with extra("generation", "experiments need more packages"):
        from lcmem.generation.settings import load_preset
        from lcmem.generation.training import RunsOn
    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import load_detector
    from lcmem.generation.bench import Bench, read_data

    chosen = load_preset(preset).with_settings(settings or [])
    options = Options(device, download)
    _quiet()
    with resumable():
        bench = Bench.open(
            read_data(data, [name for name in datasets.split(",") if name]),
            chosen,
            out,
            load_detector(model, options),
            load_detector(features, options),
            RunsOn(device, devices),
            allow_download=download,
        )
        _run(kind, bench, detectors)


def _run(kind: str, bench: "Bench", detectors: str) -> None:
    from rich.console import Console

    from lcmem.detectors.registry import REGISTRY, installed
    from lcmem.jobs.experiment import near_duplicates, size_curve, table3

    if kind == "table3":
        table, name = table3(bench), "table3.csv"
        shown = ["strategy", "fd", "irs", "paired", "paired_calibrated", "one_vs_all", "redrawn_drawn"]
    elif kind == "size-curve":
        table, name, shown = size_curve(bench), "sizes.csv", ["pictures", "samples", "holdout", "threshold"]
    else:
        names = [*REGISTRY, *installed()] if detectors == "all" else detectors.split(",")
        table, name = near_duplicates(bench, names), "near_duplicates.csv"
        shown = ["detector", "set", "sigma", "flagged", "agreeing", "status"]
    found = table[[column for column in shown if column in table]]
    Console().print(found.to_string(index=False, float_format="{:.4g}".format), soft_wrap=True, highlight=False)
    typer.echo(f"table: {bench.folder / name}")


def _quiet() -> None:
    """Our own bars and lines are enough: Lightning's tips and hardware lists are for its developers."""
    import logging
    import warnings

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
