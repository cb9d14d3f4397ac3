"""``lcmem scan``: every pair of two sets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcmem.cli.app import (
    SEARCH,
    CalibrationOption,
    Device,
    Download,
    FalsePositiveRate,
    Model,
    Out,
    RayWorkers,
    Workers,
    app,
    examples,
    open_detector,
    resumable,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_for, reading_options
from lcmem.cli.remarks import remark


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples("lcmem scan synthetic/ real.atlas --out my-scan", "lcmem scan real.atlas --threshold 0.95"),
)
@reading_options
def scan(
    queries: Annotated[str, typer.Argument(help="Pictures (folder, zip, CSV, Parquet) or an atlas.")],
    gallery: Annotated[
        str | None, typer.Argument(help="The same. Default: the queries themselves, each pair once.")
    ] = None,
    out: Out = Path("lcmem-scan"),
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability from which a pair is a match (similarity, if the model has no head). Default: calibrated "
            "on GALLERY as an audit does."
        ),
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    calibration: CalibrationOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Best matches to keep for each query.")] = 5,
    model: Model = "compact",
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    ray_workers: RayWorkers = None,
    download: Download = False,
) -> None:
    """Score every pair, exactly: best matches, all matches, and the histogram of scores by identity."""
    from lcmem.jobs.output import check_output
    from lcmem.jobs.scan.run import scan_sets

    asked = asked_for(threshold, calibration, false_positive_rate)
    check_output(out, "scan", {"queries": queries, "gallery": gallery})
    one = reading.pictures(queries)
    two = reading.pictures_or_none(gallery)
    with resumable():
        detector = open_detector(model, device, download)
        summary = scan_sets(one, two, detector, out, k=top_k, asked=asked, workers=workers, ray_workers=ray_workers)
    print_scan(summary, out)


def print_scan(summary: dict[str, Any], out: Path) -> None:
    """The counts."""
    from lcmem.stats.calibration import WARNED

    typer.echo(f"{summary['queries']} × {summary['gallery']} pictures, {summary['pairs']:,} pairs")
    for kind, pairs in summary["pairs_of_each_kind"].items():
        if pairs:
            typer.echo(f"  {kind} identity: {summary['matches'][kind]:,} of {pairs:,} pairs match")
    level = summary["threshold_logit"] if summary["threshold"] is None else summary["threshold"]
    unit = "" if summary["threshold"] is None else "p "
    typer.echo(f"threshold: {unit}{level:.4g}; {summary['threshold_explanation']}")
    if summary["threshold_method"] == "given" and (summary["false_positive_rate"] or 0) > WARNED:
        share = f"{summary['false_positive_rate']:.0%}"
        remark(f"{share} of pictures of unseen identities match at this threshold by chance")
    wrong = summary["queries_that_match_another_identity"]
    if wrong is not None:
        typer.echo(f"{wrong} of {summary['queries']} queries match a picture of another identity")
    if summary["skipped"]:
        remark(f"{summary['skipped']} pictures were skipped, see skipped.csv")
    typer.echo(f"tables and histogram: {out}")
