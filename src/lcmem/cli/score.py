"""``lcmem score`` and ``lcmem compare``: single pairs."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import SEARCH, Device, Download, Model, Workers, app, examples


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples(
        "lcmem compare a.png b.png",
        "lcmem compare a.png b.png --model phash",
    ),
)
def compare(
    a: Annotated[str, typer.Argument(help="A picture.")],
    b: Annotated[str, typer.Argument(help="Another picture.")],
    model: Model = "compact",
    device: Device = "cpu",
    download: Download = False,
) -> None:
    """Do two pictures show the same identity, or is one an edited copy of the other?"""
    from scipy.special import expit

    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import load_detector

    detector = load_detector(model, Options(device, download))
    score = detector.score(a, b)
    if detector.head is None:
        typer.echo(f"similarity {score:.6f}")
    else:
        typer.echo(f"logit {score:.6f}  probability {expit(score):.6f}")


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples(
        "lcmem score pairs.csv --out scored.csv",
        "lcmem score lcmem-benchmark/pairs.csv --data manifest.csv",
    ),
)
def score(
    pairs: Annotated[Path, typer.Argument(help="CSV or Parquet table with the columns path_a and path_b.")],
    out: Annotated[Path | None, typer.Option(help="Table to write. Default: PAIRS.scored.csv.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Manifest to find the pictures in, for a list such as `lcmem benchmark reid` writes."),
    ] = None,
    model: Model = "compact",
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Add logit and probability (or similarity) to each pair of a table; unreadable pictures leave them empty."""
    from lcmem.detectors.entry import Options
    from lcmem.detectors.registry import load_detector
    from lcmem.jobs.score import score_table
    from lcmem.pictures.manifest import Manifest

    manifest = None if data is None else Manifest.read(data)
    target = out or pairs.with_name(pairs.stem + ".scored" + pairs.suffix)
    detector = load_detector(model, Options(device, download))
    scored, skipped = score_table(pairs, detector, target, data=manifest, workers=workers)
    typer.echo(f"{scored} pairs scored: {target}")
    for _, reason in skipped:
        typer.secho(f"skipped: {reason}", fg="yellow", err=True)
