"""The application that commands register with, and the options that several of them share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="lcmem",
    help="Find out whether a generative image model gives away real people, patients or pictures of its training set.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    str, typer.Option(help="A detector's name (lcmem detectors lists them), a checkpoint's folder, or NAME=PATH.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps. Audits, scans and indexes also take cuda:0,cuda:1.")]
Workers = Annotated[int | None, typer.Option(help="Processes that decode pictures. Default: cores − 1, at most 8.")]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        "--ray", metavar="WORKERS", min=1, help="Spread the work over so many workers of a Ray cluster (extra ray)."
    ),
]
IdentityPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Identity = first group of this pattern in the path below the folder, e.g. '(patient[0-9]+)_'.",
    ),
]
IdentityColumn = Annotated[str, typer.Option(help="Column of a table that names the identity.")]
Identities = Annotated[
    bool, typer.Option("--identities/--no-identities", help="Whether sub-folders or a column name identities.")
]
Encoder = Annotated[str, typer.Option(help="compact-autoencoder, a folder, sd-vae or a hub id.")]
Download = Annotated[
    bool, typer.Option("--download", help="Download hub weights that are not here yet. Nothing else uses the network.")
]
Size = Annotated[int, typer.Option(help="Side in pixels that pictures are squeezed into.")]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C in a long job that can be started again: say so, and exit with the shell's code for it."""
    try:
        yield
    except KeyboardInterrupt:
        typer.secho("lcmem: interrupted; the same command goes on where it stopped", fg="yellow", err=True)
        raise typer.Exit(130) from None


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("lcmem"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...
