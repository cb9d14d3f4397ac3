"""``lcmem audit``: the main job."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcmem.cli.app import (
    AUDIT,
    Device,
    Download,
    FalsePositiveRate,
    Model,
    Out,
    Workers,
    app,
    examples,
    resumable,
)
from lcmem.cli.pictures import AS_IS, Reading, reading_options

if TYPE_CHECKING:
    from lcmem.jobs.audit_result import AuditResult


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem audit real/ synthetic/ --out my-audit",
        "lcmem audit train.csv synthetic.zip --holdout holdout/ --identity-column patient",
        "lcmem audit real.atlas synthetic/ --false-positive-rate 0.001 --device cuda",
    ),
)
@reading_options
def audit(
    real: Annotated[
        str, typer.Argument(help="The generator's training pictures: folder, zip, CSV, Parquet, or an atlas.")
    ],
    synthetic: Annotated[str, typer.Argument(help="The generated pictures, likewise.")],
    holdout: Annotated[
        str | None, typer.Option(help="Real pictures of identities that the generator never saw, likewise.")
    ] = None,
    model: Model = "compact",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability from which a pair is a match (similarity, if the model has no head). Default: calibrated."
        ),
    ] = None,
    false_positive_rate: FalsePositiveRate = 0.01,
    paired: Annotated[
        Path | None,
        typer.Option(help="Table (columns synthetic, real) of what each picture was made from: their rate as well."),
    ] = None,
    out: Out = Path("lcmem-audit"),
    top_k: Annotated[int, typer.Option(help="Best matches to keep for each synthetic picture.")] = 5,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Which synthetic pictures show a real identity or copy a real picture, how often, and how sure is that?"""
    import shlex
    import sys

    import lcmem
    from lcmem.jobs.doubts import doubtful_names
    from lcmem.jobs.output import check_output

    inputs = {"real": real, "synthetic": synthetic, "holdout": holdout}
    check_output(out, "audit", inputs)
    for doubt in doubtful_names(inputs):
        typer.secho(doubt, fg="yellow", err=True)
    pictures, generated = reading.pictures(real), reading.beside(synthetic)
    unseen = None if holdout is None else reading.pictures(holdout)
    with resumable():
        result = lcmem.audit(
            pictures,
            generated,
            holdout=unseen,
            model=model,
            threshold=threshold,
            false_positive_rate=false_positive_rate,
            top_k=top_k,
            out=out,
            device=device,
            workers=workers,
            allow_download=download,
            command=shlex.join(sys.argv),
        )
        pairs = None
        if paired is not None:
            from lcmem.jobs.paired import pairs_of_audit

            pairs = pairs_of_audit(paired, out, result, model, device=device, workers=workers, allow_download=download)
    print_summary(result)
    for line in pairs.lines if pairs else ():
        typer.echo(line)
    typer.echo(f"report: {out / 'index.html'}")


def _threshold(numbers: dict[str, Any]) -> str:
    """As it can be given again: a probability, or a similarity; with its logit."""
    if not numbers["same_identity"]:
        return "–"
    logit = "–" if numbers["threshold_logit"] is None else f"{numbers['threshold_logit']:.3f}"
    return logit if numbers["threshold"] is None else f"p = {numbers['threshold']:.4g} (logit {logit})"


def print_summary(result: "AuditResult") -> None:
    """The numbers that matter, as a short table."""
    from rich.console import Console
    from rich.table import Table

    numbers = result.summary
    table = Table("", "value", "95 % interval", title="memorization audit", title_justify="left")

    def rate_row(title: str, key: str) -> None:
        low, high = numbers[f"{key}_low"], numbers[f"{key}_high"]
        table.add_row(title, f"{numbers[key]:.1%}", f"{low:.1%} to {high:.1%}")

    rate_row(f"memorization rate ({numbers['n_memorized']} of {numbers['n_synthetic']})", "memorization_rate")
    rate_row(f"  of these copies ({numbers['n_copies']})", "copy_rate")
    if numbers["holdout_rate"] is not None:
        rate_row(f"holdout rate ({numbers['n_holdout_matches']} of {numbers['n_holdout']})", "holdout_rate")
        rate_row("excess over the holdout", "excess")
    if numbers["false_positive_rate"] is not None:
        chance, bound = numbers["false_positive_rate"], numbers["false_positive_rate_bound"]
        table.add_row("expected by chance", f"{chance:.1%}", f"not more than {bound:.1%}")
    table.add_row("same identity from", _threshold(numbers), f"from: {numbers['threshold_method']}")
    console = Console()
    warn = functools.partial(console.print, style="yellow", soft_wrap=True, highlight=False)
    for note in numbers["notes"]:
        warn(note)
    console.print(table)
    console.print(f"Copies: {result.copy_rule}", soft_wrap=True, highlight=False)
    console.print(f"Same identity: {numbers['threshold_explanation']}", soft_wrap=True, highlight=False)
    for kind, count in result.twins["kind"].value_counts().items():
        warn(f"{count} × {kind}, see twins.csv")
    if numbers["skipped"]:
        console.print(f"[yellow]{numbers['skipped']} pictures were skipped, see skipped.csv[/]")
        for row in result.skipped.head(5).itertuples():
            console.print(f"  {row.reason}", soft_wrap=True, highlight=False)
    if numbers["hint"]:
        console.print(f"[yellow]{numbers['hint']}[/]", soft_wrap=True, highlight=False)
    speed = numbers["pictures_per_second"]
    encoded = f"{numbers['pictures_encoded']} pictures encoded" + (f" at {speed:.1f} a second" if speed else "")
    reused = f", {numbers['pictures_reused']} reused" if numbers["pictures_reused"] else ""
    console.print(f"{encoded}{reused}; {numbers['seconds']:.1f} s in all", highlight=False)
