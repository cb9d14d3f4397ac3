"""``lcmem filter``: what may be published of a set of synthetic pictures."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import (
    AUDIT,
    CalibrationOption,
    Device,
    Download,
    FalsePositiveRate,
    Model,
    Out,
    Workers,
    app,
    examples,
    open_detector,
    resumable,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_for, reading_options
from lcmem.cli.remarks import remark


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem filter synthetic/ --against real.atlas --out filtered",
        "lcmem filter synthetic.zip --against real/ --threshold 0.5 --files none",
    ),
)
@reading_options
def filter(
    synthetic: Annotated[str, typer.Argument(help="The generated pictures: folder, zip, CSV or Parquet.")],
    against: Annotated[str, typer.Option(help="The real ones: an atlas, or pictures in the same form.")],
    out: Out = Path("lcmem-filter"),
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability from which a picture is a match. Default: calibrated on the real pictures."),
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    calibration: CalibrationOption = None,
    files: Annotated[
        str, typer.Option(help="What to do with pictures that pass: copy, link (hard links) or none (only the table).")
    ] = "copy",
    model: Model = "compact",
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Keep the synthetic pictures that neither copy a real one nor show one of the real identities."""
    from lcmem.jobs.filter import check_copyable, filter_pictures
    from lcmem.jobs.output import check_output

    asked = asked_for(threshold, calibration, false_positive_rate)
    check_output(out, "filter", {"synthetic": synthetic, "against": against})
    pictures, real = reading.beside(synthetic), reading.pictures(against)
    check_copyable(pictures, files)  # before a model is loaded
    with resumable():
        summary = filter_pictures(
            pictures, real, open_detector(model, device, download), out, asked=asked, files=files, workers=workers
        )
    rejected = ", ".join(f"{count} {name}" for name, count in summary["rejected"].items()) or "none rejected"
    typer.echo(f"{summary['kept']} of {summary['synthetic']} pictures pass; {rejected}")
    typer.echo(summary["threshold_explanation"])
    if summary["real_not_here"]:
        remark(
            f"{summary['real_not_here']} of {summary['real']} real pictures are not here, or not as they were: copies "
            "of them are told by their score alone"
        )
    if summary["skipped"]:
        remark(f"{summary['skipped']} pictures were skipped, see {out / 'skipped.csv'}")
    typer.echo(f"table: {out / 'filter.csv'}" + ("" if files == "none" else f"    pictures: {out / 'kept'}"))
