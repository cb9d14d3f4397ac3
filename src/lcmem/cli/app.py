"""The application that commands register with, and the options that several of them share."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.remarks import remark
from lcmem.cli.stopping import CommandGroup, stopping

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector

AUDIT, SEARCH, TRAIN, MEASURE = "Audit", "Search", "Train", "Measure"
"""Titles in ``lcmem --help``, for ``rich_help_panel`` of each command."""

SHOWN = 5
"""Skipped pictures that are named where a file lists all of them."""


def examples(*lines: str) -> str:
    """Command lines for ``epilog``: the end of a command's help."""
    return "\n\n".join(("Examples:", *lines))


app = typer.Typer(
    cls=CommandGroup,
    name="lcmem",
    help="Find out whether a generative image model gives away real people, patients or pictures of its training set.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _known(model: str) -> str:
    from lcmem.detectors.registry import check_name

    check_name(model)
    return model


Model = Annotated[
    str,
    typer.Option(
        callback=_known, help="A detector's name (lcmem detectors lists them), a checkpoint's folder, or NAME=PATH."
    ),
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda or mps. LCMem's models audit, scan and index on several: cuda:0,cuda:1.")
]
Holdout = Annotated[str | None, typer.Option(help="Real pictures of identities that the generator never saw.")]
FalsePositiveRate = Annotated[
    float | None,
    typer.Option(help="What to calibrate for: share of pictures of unseen identities that may match. Default: 0.01."),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option("--calibration", metavar="FILE", help="Take the thresholds that lcmem calibrate wrote there."),
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes that decode pictures. Default: cores − 1, at most 8.")
]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        "--ray", metavar="WORKERS", min=1, help="Workers of a Ray cluster to spread the work over (extra ray)."
    ),
]
Encoder = Annotated[str, typer.Option(help="compact-autoencoder, pixels, a folder, sd-vae or a hub id.")]
Download = Annotated[
    bool, typer.Option("--download", help="Download hub weights that are not here yet. Nothing else uses the network.")
]
Size = Annotated[int, typer.Option(help="Side in pixels that pictures are squeezed into.")]
Out = Annotated[Path, typer.Option(help="Folder to write to.")]


def resumable() -> AbstractContextManager[None]:
    """For a long job that can be started again: whoever stops it is told so."""
    return stopping("; the same command goes on where it stopped")


def open_detector(model: str, device: str, download: bool) -> "Detector":
    """The detector that the options name."""
    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import load_detector

    return load_detector(model, Options(device, download))


def warn_skipped(skipped: Sequence[tuple[str, str]], listed: Path | None = None) -> None:
    """A line for each picture (path and reason) that could not be used, or five and the file that lists them all."""
    shown = skipped if listed is None else skipped[:SHOWN]
    for _, reason in shown:
        remark(f"skipped: {reason}")
    if len(shown) < len(skipped):
        remark(f"and {len(skipped) - len(shown)} more, see {listed}")


def quiet_trainer() -> None:
    """Errors, our own bars and lines are enough: Lightning's tips and hardware lists are for its developers."""
    import logging
    import warnings

    ours = logging.getLogger("lcmem")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def split_names(text: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _print_version(wanted: bool) -> None:
    if wanted:
        import lcmem

        typer.echo(lcmem.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...
