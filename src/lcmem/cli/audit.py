"""``lcmem audit``: the main job."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import (
    AUDIT,
    CalibrationOption,
    Device,
    Download,
    FalsePositiveRate,
    Holdout,
    Model,
    Out,
    Workers,
    app,
    examples,
    resumable,
)
from lcmem.cli.pictures import AS_IS, Reading, asked_for, reading_options
from lcmem.cli.remarks import remark
from lcmem.cli.stopping import held

if TYPE_CHECKING:
    from lcmem.jobs.audit.gate import Decision, Gate
    from lcmem.jobs.audit.paired import PairedResult
    from lcmem.jobs.audit.result import AuditResult


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem audit real/ synthetic/ --out my-audit",
        "lcmem audit train.csv synthetic.zip --holdout holdout/ --identity-column patient",
        "lcmem audit real.atlas synthetic/ --false-positive-rate 0.001 --device cuda",
        "lcmem audit real/ synthetic/ --fail-above 0.01 --json > audit.json",
        "lcmem audit real/ synthetic/ --calibration calibration.json",
    ),
)
@reading_options
def audit(
    real: Annotated[
        str, typer.Argument(help="The generator's training pictures: folder, zip, CSV, Parquet, or an atlas.")
    ],
    synthetic: Annotated[str, typer.Argument(help="The generated pictures: also a folder, zip, table or atlas.")],
    holdout: Holdout = None,
    model: Model = "compact",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability from which a pair is a match (similarity, if the model has no head). Default: calibrated."
        ),
    ] = None,
    false_positive_rate: FalsePositiveRate = None,
    calibration: CalibrationOption = None,
    paired: Annotated[
        Path | None,
        typer.Option(help="Table (columns synthetic, real) of what each picture was made from: their rate as well."),
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Gate: exit with 3 if the whole 95 % interval of the rate lies above this, with 4 if the audit is too "
            "weak to tell.",
        ),
    ] = None,
    verdict: Annotated[
        str, typer.Option(help="Which rate the gate judges: same-identity (copies are part of it) or copy.")
    ] = "same-identity",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but warnings and errors.")] = False,
    explain: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Show where the evidence lies in the N strongest matches of each verdict (100 encodings each).",
        ),
    ] = 0,
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="Write hashes in place of all names and no picture, so that the folder can be handed on."
        ),
    ] = False,
    out: Out = Path("lcmem-audit"),
    top_k: Annotated[int, typer.Option(help="Best matches to keep for each synthetic picture.")] = 5,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Which synthetic pictures show a real identity or copy a real picture, how often, and how sure is that?

    Exit codes: 0 done, or passed; 1 bad input; 2 wrong options; 3 failed, the rate is proven to lie above --fail-above
    (a holdout is not subtracted); 4 too weak to tell; 130 and 143 stopped.
    """
    import shlex
    import sys

    from lcmem.jobs.audit.doubts import doubtful_names
    from lcmem.jobs.audit.gate import Gate
    from lcmem.jobs.audit.paired import check_pairs, pairs_of_audit
    from lcmem.jobs.audit.run import claim_audit, run_audit
    from lcmem.jobs.audit.settings import AuditSettings
    from lcmem.progress import silent

    settings = AuditSettings(
        model=model,
        asked=asked_for(threshold, calibration, false_positive_rate),
        top_k=top_k,
        device=device,
        workers=workers,
        allow_download=download,
        command=shlex.join(sys.argv),
        explain=explain,
        private=private,
    )
    gate = None if fail_above is None else Gate(fail_above, verdict)
    check_pairs(paired, private=private)
    inputs = {"real": real, "synthetic": synthetic, "holdout": holdout}
    held(claim_audit(out, inputs, settings))
    for doubt in doubtful_names(inputs):
        remark(doubt)
    pictures, generated = reading.pictures(real), reading.beside(synthetic)
    unseen = reading.pictures_or_none(holdout)
    with resumable(), silent() if quiet or as_json else nullcontext():
        result = run_audit({"real": pictures, "synthetic": generated, "holdout": unseen}, settings, out)
        pairs = None if paired is None else pairs_of_audit(paired, out, result, settings)
    decision = None if gate is None else gate.decide(result)
    if as_json:
        _print_json(result, pairs, gate, decision)
    elif not quiet:
        _print_text(result, pairs, decision, out)
    elif decision is not None and decision.code:
        typer.secho(str(decision), fg="red", err=True)
    if decision is not None:
        raise typer.Exit(decision.code)


def _print_text(result: "AuditResult", pairs: "PairedResult | None", decision: "Decision | None", out: Path) -> None:
    from lcmem.cli.audit_summary import print_summary
    from lcmem.jobs.audit.marks import FILE, read_review

    print_summary(result)
    found = read_review(out, result)
    if found is not None:
        typer.echo(found.sentence)
    elif (out / FILE).is_file():
        remark(f"{out / FILE}: none of its marks is of a picture of this audit")
    for line in pairs.lines if pairs else ():
        typer.echo(line)
    if decision is not None:
        typer.secho(str(decision), fg="green" if decision.code == 0 else "red")
    typer.echo(f"report: {out / 'index.html'}")


def _print_json(
    result: "AuditResult", pairs: "PairedResult | None", gate: "Gate | None", decision: "Decision | None"
) -> None:
    import json

    numbers = result.summary
    if pairs is not None:
        numbers["paired"] = pairs.summary
    if gate is not None and decision is not None:
        numbers["gate"] = gate.described(decision)
    typer.echo(json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False))
