"""``lcmem duplicates``: what is in a set more than once."""

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import (
    SEARCH,
    CalibrationOption,
    Device,
    Download,
    FalsePositiveRate,
    Model,
    Workers,
    app,
    examples,
    open_detector,
    warn_skipped,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_for, reading_options

if TYPE_CHECKING:
    from lcmem.jobs.duplicates import Duplicates


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples("lcmem duplicates real/ --out duplicates.csv", "lcmem duplicates real.atlas --threshold 0.99"),
)
@reading_options
def duplicates(
    pictures: Annotated[str, typer.Argument(help="Folder, zip, CSV, Parquet, or an atlas.")],
    out: Annotated[Path, typer.Option(help="CSV or Parquet to write.")] = Path("duplicates.csv"),
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability from which two pictures belong together. Default: copies, and where identities are "
            "known, what few pictures reach with another identity by chance."
        ),
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    calibration: CalibrationOption = None,
    model: Model = "compact",
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Groups of pictures that are copies of each other or show the same identity."""
    from lcmem.jobs.duplicates import find_duplicates
    from lcmem.jobs.output import claim_file
    from lcmem.matching.features import extract_features

    asked = asked_for(threshold, calibration, false_positive_rate)
    claim_file(out, {"pictures": pictures})
    source = reading.pictures(pictures)
    detector = open_detector(model, device, download)
    asked.given(detector)  # wrong before anything is encoded
    features = extract_features(source, detector, None, workers=workers)
    found = find_duplicates(features, detector, asked, workers)
    found.write(out)
    warn_skipped(features.skipped)
    print_duplicates(found, len(features.manifest), out)
    if asked.calibration is not None:
        typer.echo(f"calibration: {asked.calibration.citation}")


def print_duplicates(found: "Duplicates", count: int, out: Path) -> None:
    """How many groups, how large, and the threshold."""
    groups = found.table["group"].nunique()
    largest = int(found.table["group"].value_counts().max()) if groups else 0
    rule = f"score ≥ {found.threshold:.3f}, or copies" if found.threshold < inf else "copies only"
    typer.echo(f"{len(found.table)} of {count} pictures in {groups} groups (the largest: {largest}); {rule}")
    if found.mixed:
        typer.echo(f"{found.mixed} groups hold pictures of different identities")
    typer.echo(f"groups: {out}")
