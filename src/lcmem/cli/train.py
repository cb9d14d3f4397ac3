"""``lcmem train`` and ``lcmem recipes``."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import TRAIN, Device, Download, app, examples, quiet_trainer, resumable
from lcmem.cli.pictures import AS_IS, Reading, reading_options


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem train finetune --data manifest.csv --out runs/mine",
        "lcmem train mine.toml --data latents --set stage1.epochs=20 --device cuda",
    ),
)
@reading_options
def train(
    recipe: Annotated[str, typer.Argument(help="A preset's name (see lcmem recipes) or a TOML file.")],
    data: Annotated[
        Path, typer.Option(help="Manifest (CSV or Parquet) with splits train and val, or what lcmem encode wrote.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/RECIPE.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. stage1.epochs=20.")
    ] = None,
    device: Device = "cpu",
    devices: Annotated[int, typer.Option(min=1, help="How many of them; each batch is shared among them.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes on each device that make batches.")] = 1,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, help="Steps between two states that an interrupted run goes on from.")
    ] = 50,
    teachers: Annotated[
        Path | None,
        typer.Option(help="Folder of what teachers said of pictures, for several runs. Default: OUT/teachers."),
    ] = None,
    reading: Reading = AS_IS,
    download: Download = False,
) -> None:
    """Train a detector (or the autoencoder) on your pictures. The same command goes on where it stopped."""
    from lcmem.errors import LCMemError, extra
    from lcmem.locks import follows

    with extra("train", "training needs more packages"):
        from lcmem.training.fit import RunOptions
        from lcmem.training.presets import load_recipe
        from lcmem.training.recipe import AutoencoderRecipe
    chosen = load_recipe(recipe).with_settings(settings or [])
    folder = out or Path("runs") / Path(recipe).stem
    quiet_trainer()
    options = RunOptions(device, devices, workers, checkpoint_every, download, teachers)
    with resumable():
        if isinstance(chosen, AutoencoderRecipe):
            from lcmem.training.autoencoder import train_autoencoder

            typer.echo(f"checkpoint: {train_autoencoder(reading.manifest(data), folder, chosen, options)}")
            return
        from lcmem.latents import LatentStore
        from lcmem.training.run import read_training_data
        from lcmem.training.run import train as run

        pictures = read_training_data(data, reading.manifest)
        if isinstance(pictures, LatentStore) and reading != AS_IS:
            raise LCMemError(f"{data}: latents have their own identities; give these options to lcmem encode instead")
        target = run(chosen, pictures, folder, options)
    if not follows():
        _summary(folder, target)


def _summary(folder: Path, target: Path) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "epochs", "best epoch", "validation score (mean AUC)")
    own = [*folder.glob("stage[12]")]  # the card lists the stages of the detector that this one started from, too
    for record in json.loads((target / "card.json").read_text(encoding="utf-8"))["training"][-len(own) :]:
        table.add_row(
            str(record["stage"]), str(record["epochs"]), str(record["best_epoch"]), f"{record['val_score']:.4f}"
        )
    Console().print(table)
    typer.echo(f"learning curves: {folder / 'curves.png'}")
    typer.echo(f"detector: {target}    use it: lcmem audit REAL SYNTHETIC --model {target}")


@app.command(rich_help_panel=TRAIN, epilog=examples("lcmem recipes", "lcmem recipes finetune > mine.toml"))
def recipes(
    name: Annotated[str | None, typer.Argument(help="A preset or a TOML file to print. Default: a list.")] = None,
) -> None:
    """List the presets, or print one as TOML: a file to change and give to lcmem train."""
    from rich.console import Console
    from rich.table import Column, Table

    from lcmem.errors import extra

    with extra("train", "recipes need more packages"):
        import tomli_w

        from lcmem.training.presets import PRESETS, load_recipe

    if name is not None:
        typer.echo(tomli_w.dumps(load_recipe(name).to_dict()))
        return
    table = Table(Column("recipe", no_wrap=True), "what it is")
    for preset, description in PRESETS.items():
        table.add_row(preset, description)
    Console().print(table)
