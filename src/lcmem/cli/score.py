"""``lcmem score`` and ``lcmem compare``: single pairs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcmem.cli.app import (
    SEARCH,
    CalibrationOption,
    Device,
    Download,
    Model,
    Workers,
    app,
    examples,
    open_detector,
    warn_skipped,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_for, reading_options

if TYPE_CHECKING:
    from lcmem.detectors.base import Detector
    from lcmem.jobs.compare import Comparison


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples(
        "lcmem compare a.png b.png",
        "lcmem compare a.png b.png --against real/ --exit-code",
        "lcmem compare a.png b.png --explain why.png",
    ),
)
@reading_options
def compare(
    a: Annotated[str, typer.Argument(help="A picture.")],
    b: Annotated[str, typer.Argument(help="Another picture.")],
    against: Annotated[
        str | None,
        typer.Option(help="Pictures like these (folder, zip, table, atlas): how alike are strangers among them?"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which they match (similarity, if the model has no head).")
    ] = None,
    calibration: CalibrationOption = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 3 if they do not match, with 4 if that cannot be told.")
    ] = False,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="OUT.png", help="PNG to write: both pictures, and where in them the evidence lies."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    reading: Reading = AS_IS,
    model: Model = "compact",
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Do two pictures show the same identity, or is one an edited copy of the other?"""
    from lcmem.jobs.compare import compare_pair
    from lcmem.jobs.output import claim_file
    from lcmem.matching.features import extract_features
    from lcmem.pictures.set_depth import alike

    asked = asked_for(threshold, calibration)
    target = None if explain is None else claim_file(explain, {"a": a, "b": b}, (".png",), "--explain")
    source = reading.pictures_or_none(against)
    detector = open_detector(model, device, download)
    known = None if source is None else extract_features(source, detector, None, workers=workers)
    if known is not None:
        known.remark_skipped("--against")
    one, other = alike([a, b], source)
    found = compare_pair(one, other, detector, threshold=threshold, against=known, calibration=asked.calibration)
    lines = comparison_lines(found, detector)
    typer.echo(comparison_json(found, detector) if as_json else "\n".join(lines))
    if target is not None:
        from lcmem.jobs.explain import draw_evidence

        draw_evidence(one, other, detector, lines[:-1], target)
        typer.echo(f"evidence: {target}", err=as_json)
    if exit_code:
        raise typer.Exit(CODES[found.verdict])


VERDICTS = {
    "identical": "identical: the same picture",
    "match": "match: the same identity, or one is an edited copy of the other",
    "same picture": "match: the same picture, seen small, mirrored or turned as it may be",
    "no match": "no match",
    "undecided": "undecided",
    "shows nothing": "undecided: one of them shows nothing, (nearly) all its pixels have the same colour",
}


CODES = {"identical": 0, "match": 0, "same picture": 0, "no match": 3, "undecided": 4, "shows nothing": 4}
"""Exit codes, where they are asked for."""


def comparison_lines(found: "Comparison", detector: "Detector") -> list[str]:
    """The verdict, and what it rests on: score, threshold, and last the scale."""
    from lcmem.jobs.compare import in_words

    level = "none" if found.threshold is None else in_words(found.threshold, detector)
    scale = f"a picture with itself reaches {in_words(found.highest, detector)}"
    if found.usual:
        scale = f"{found.usual}; {scale}"
    if found.scale is not None and found.scale.above_half == found.scale.above_half:
        scale = f"{found.scale.above_half:.1%} of these pairs lie above p 0.5; {scale}"
    verdict, score = VERDICTS[found.verdict], in_words(found.score, detector)
    return [verdict, score, f"threshold: {level}; {found.origin}", f"scale: {scale}"]


def comparison_json(found: "Comparison", detector: "Detector") -> str:
    """The same for programs; of a model without a head there is no probability, and its score is a similarity."""
    import json
    from dataclasses import asdict

    from scipy.special import expit

    from lcmem.files import finite

    numbers: dict[str, Any] = {"model": detector.name, **asdict(found)}
    for name in ("score", "threshold"):  # a logit may be infinite, its probability is 0 or 1
        value = numbers[name]
        numbers[name] = None if value is None else finite(value)
        numbers[f"{name}_probability"] = None if value is None or detector.head is None else float(expit(value))
    if found.scale is not None:
        numbers["scale"]["above_half"] = finite(found.scale.above_half)
    return json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False)


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples(
        "lcmem score pairs.csv --out scored.csv", "lcmem score lcmem-benchmark/pairs.csv --data manifest.csv"
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
    from lcmem.jobs.output import claim_file
    from lcmem.jobs.score import score_table
    from lcmem.pictures.manifest import Manifest

    suffix = ".parquet" if pairs.suffix.lower() == ".parquet" else ".csv"
    target = out or pairs.with_name(f"{pairs.stem}.scored{suffix}")
    claim_file(target, {"pairs": pairs, "data": data})
    manifest = None if data is None else Manifest.read(data)
    detector = open_detector(model, device, download)
    scored, skipped = score_table(pairs, detector, target, data=manifest, workers=workers)
    typer.echo(f"{scored} pairs scored: {target}")
    warn_skipped(skipped)
