"""``lcmem train``: the autoencoder and the two stages of a detector."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import app

if TYPE_CHECKING:
    from lcmem.manifest import Manifest

group = typer.Typer(help="Train the compact autoencoder, or a detector in two stages.", no_args_is_help=True)
app.add_typer(group, name="train")

Data = Annotated[Path, typer.Option(help="Manifest (CSV or Parquet) with splits train and val; see lcmem manifest.")]
Run = Annotated[Path, typer.Option(help="Folder of the run. The same command resumes it.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting.")]
Encoder = Annotated[str, typer.Option(help="compact-autoencoder, a folder, sd-vae or a hub id.")]
Precision = Annotated[str, typer.Option(help="Arithmetic: bf16-mixed, 16-mixed or 32-true.")]


def _read(data: Path) -> "Manifest":
    from lcmem.errors import LCMemError
    from lcmem.manifest import Manifest

    try:
        import lightning  # noqa: F401
    except ImportError as error:
        raise LCMemError("training needs Lightning: pip install 'lcmem[train]'") from error
    return Manifest.read(data)


@group.command()
def autoencoder(
    data: Data, out: Run = Path("runs/autoencoder"), settings: Settings = None, precision: Precision = "bf16-mixed"
) -> None:
    """Train the compact autoencoder (8× downsampling, 4 latent channels)."""
    manifest = _read(data)
    from lcmem.training.autoencoder import train_autoencoder
    from lcmem.training.recipe import AutoencoderRecipe

    recipe = AutoencoderRecipe().with_settings(settings or [])
    typer.echo(f"checkpoint: {train_autoencoder(manifest, out, recipe, precision=precision)}")


@group.command()
def stage1(
    data: Data,
    out: Run = Path("runs/detector"),
    encoder: Encoder = "compact-autoencoder",
    head: Annotated[str, typer.Option(help="metric or linear.")] = "metric",
    settings: Settings = None,
    precision: Precision = "bf16-mixed",
) -> None:
    """Stage 1: re-identification on clean latents."""
    manifest = _read(data)
    from lcmem.training.recipe import STAGE1
    from lcmem.training.stages import train_stage

    recipe = STAGE1.with_settings(settings or [])
    checkpoint = train_stage(1, manifest, out, recipe, encoder=encoder, head=head, precision=precision)
    typer.echo(f"checkpoint: {checkpoint}")


@group.command()
def stage2(
    data: Data,
    start_from: Annotated[Path, typer.Option("--from", help="Checkpoint of stage 1.")],
    out: Run = Path("runs/detector"),
    encoder: Encoder = "compact-autoencoder",
    settings: Settings = None,
    precision: Precision = "bf16-mixed",
) -> None:
    """Stage 2: robustness, on edited pictures through the frozen encoder."""
    manifest = _read(data)
    from lcmem.training.recipe import STAGE2
    from lcmem.training.stages import train_stage

    recipe = STAGE2.with_settings(settings or [])
    checkpoint = train_stage(2, manifest, out, recipe, encoder=encoder, start_from=start_from, precision=precision)
    typer.echo(f"checkpoint: {checkpoint}")
