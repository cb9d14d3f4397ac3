"""``lcmem calibrate``: thresholds for one's own pictures, as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import AUDIT, Device, Download, FalsePositiveRate, Model, Workers, app, examples, open_detector
from lcmem.cli.pictures import AS_IS, Reading, asked_rate, reading_options
from lcmem.cli.remarks import remark
from lcmem.cli.stopping import stopping

if TYPE_CHECKING:
    from lcmem.matching.calibration_file import CalibrationFile


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem calibrate real/ --out calibration.json",
        "lcmem calibrate real.atlas --holdout holdout/ --false-positive-rate 0.001 --confidence 0.99",
    ),
)
@reading_options
def calibrate(
    real: Annotated[str, typer.Argument(help="Real pictures: folder, zip, CSV, Parquet, or an atlas.")],
    holdout: Annotated[
        str | None,
        typer.Option(help="Pictures of other identities, likewise: they calibrate where REAL has no identities."),
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    confidence: Annotated[
        float, typer.Option(help="With which the stated bound of that share is to hold, in this calibration.")
    ] = 0.95,
    out: Annotated[Path, typer.Option(metavar="CALIBRATION", help="JSON file to write.")] = Path("calibration.json"),
    model: Model = "compact",
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Thresholds of both verdicts on your own pictures, with what they promise, for every command that decides."""
    from lcmem.jobs.calibrate import calibrate_pictures
    from lcmem.jobs.output import claim_file
    from lcmem.stats.calibration import check_share

    rate = asked_rate(false_positive_rate)
    check_share("false positive rate", rate)
    check_share("confidence", confidence)
    claim_file(out, {"real": real, "holdout": holdout}, (".json",))
    pictures = reading.pictures(real)
    unseen = reading.pictures_or_none(holdout)
    with stopping("; nothing was kept, but an atlas from lcmem index keeps what is encoded, and can be calibrated"):
        detector = open_detector(model, device, download)
        found = calibrate_pictures(
            pictures, detector, out, holdout=unseen, rate=rate, confidence=confidence, workers=workers
        )
    print_calibration(found, out)


def print_calibration(found: "CalibrationFile", out: Path) -> None:
    """Both thresholds, what they promise and rest on."""
    about = found.about
    same, look, copy, asked = (about[name] for name in ("same_identity", "look", "copy", "asked"))
    level = "none" if same["threshold"] is None else f"{about['score']} {same['threshold']:.4f}"
    typer.echo(f"same identity from: {level}. {same['explanation']}")
    typer.echo(
        f"  with {asked['confidence']:.0%} confidence not more than {same['bound']:.2%} match by chance; it rests on "
        f"{same['identities']} identities or groups of copies ({same['pictures']} pictures). To expect at most "
        f"{asked['rate']:.2%} takes {same['identities_needed']}, to be so sure of it "
        f"{same['identities_needed_for_bound']}."
    )
    if same["sensitivity"] is not None:
        share, low, high = (same["sensitivity"][name] for name in ("share", "share_low", "share_high"))
        typer.echo(
            f"  of {same['sensitivity']['pictures']} real pictures {share:.0%} ({low:.0%} to {high:.0%}) match another "
            "one of the same identity: so many other photos of a person would be found"
        )
    if found.copy_levels.can_look:
        typer.echo(
            f"  or by the looks of a best match, as at most {look['expected']:.2%} of strangers do (with "
            f"{asked['confidence']:.0%} confidence not more than {look['bound']:.2%})"
        )
    typer.echo(f"copy: what copies reach was measured on: {copy['method']}")
    if about["probability"] is not None:
        fit = about["probability"]
        before = "" if fit["error_before"] is None else f" (the model's own: {fit['error_before']:.3f})"
        typer.echo(f"probability: calibration error {fit['error_after']:.3f}{before}; plot: {out.with_suffix('.png')}")
    for note in about["notes"]:
        remark(note)
    if about["twins"]:
        text = f"{about['twins']} pictures are filed under two identities; lcmem duplicates lists such"
        remark(text)
    typer.echo(f"calibration: {out}, sha256 {about['sha256']}")
