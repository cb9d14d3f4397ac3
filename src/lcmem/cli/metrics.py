"""``lcmem metrics``: quality, variety and memorization of synthetic pictures in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import (
    MEASURE,
    Device,
    Download,
    FalsePositiveRate,
    Holdout,
    Model,
    Workers,
    app,
    examples,
    open_detector,
    resumable,
    warn_skipped,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_rate, reading_options
from lcmem.cli.stopping import held, stopping

if TYPE_CHECKING:
    from lcmem.jobs.metrics import Metrics


@app.command(
    rich_help_panel=MEASURE,
    epilog=examples(
        "lcmem metrics real/ synthetic/", "lcmem metrics real/ synthetic/ --holdout holdout/ --paired pairs.csv --json"
    ),
)
@reading_options
def metrics(
    real: Annotated[str, typer.Argument(help="The generator's training pictures: folder, zip, CSV or Parquet.")],
    synthetic: Annotated[str, typer.Argument(help="The generated pictures: also a folder, zip, table or atlas.")],
    holdout: Holdout = None,
    paired: Annotated[
        Path | None, typer.Option(help="Table (columns synthetic, real): which picture each one was made from.")
    ] = None,
    features: Annotated[
        str, typer.Option(help="Detector on whose features distances and retrieval scores are computed.")
    ] = "efficientnet-lite0",
    model: Model = "compact",
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which a pair is a match. Default: calibrated.")
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    out: Annotated[Path | None, typer.Option(help="Folder for features, the audit and metrics.json.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Fréchet and kernel distance, retrieval score and memorization rate, each with an interval and a floor."""
    from lcmem.jobs.metrics import measure
    from lcmem.jobs.output import claim_output

    if out is not None:
        held(claim_output(out, "metrics", {"real": real, "synthetic": synthetic, "holdout": holdout}))
    with stopping("; with --out the same command goes on where it stopped") if out is None else resumable():
        found = measure(
            reading.pictures(real),
            reading.beside(synthetic),
            extractor=open_detector(features, device, download),
            model=open_detector(model, device, download),
            holdout=reading.pictures_or_none(holdout),
            paired=paired,
            threshold=threshold,
            false_positive_rate=asked_rate(false_positive_rate),
            out=out,
            workers=workers,
        )
    print_metrics(found, json)
    warn_skipped(found.skipped, None if out is None else out / "skipped.csv")


def print_metrics(found: "Metrics", as_json: bool) -> None:
    """As a table, or as JSON."""
    import json

    from rich.console import Console
    from rich.table import Column, Table

    if as_json:
        typer.echo(json.dumps(found.summary(), indent=2, ensure_ascii=False))
        return
    columns = (Column(name, overflow="fold") for name in ("", "value", "interval", ""))
    table = Table(*columns, title="synthetic pictures against real ones", title_justify="left")
    for row in found.rows():
        known = row["low"] is not None
        interval = f"{row['low']:.4g} to {row['high']:.4g} ({row['interval']})" if known else ""
        table.add_row(row["metric"], f"{row['value']:.4g}", interval, row["note"])
    Console().print(table)
