"""``lcmem demo``: an audit whose true answer is known."""

from pathlib import Path

import typer

from lcmem.cli.app import AUDIT, Download, Model, Out, app, examples


@app.command(rich_help_panel=AUDIT, epilog=examples("lcmem demo", "lcmem demo --out try --model compact-latent"))
def demo(out: Out = Path("lcmem-demo"), model: Model = "compact", download: Download = False) -> None:
    """Audit real faces (extra: demo) where the truth is known, and say what was found and what was missed."""
    from rich.console import Console
    from rich.table import Table

    from lcmem.cli.audit_summary import print_summary
    from lcmem.jobs.demo import KINDS, run_demo

    result, found = run_demo(out, model, allow_download=download)
    print_summary(result)
    table = Table("generated pictures that are …", "pictures", "flagged", "right person", "", title="against the truth")
    for row in found.to_dict("records"):
        if row["kind"] == "unseen-person":
            verdict = f"{row['flagged']} false alarms"
        else:
            verdict = f"{row['pictures'] - row['flagged']} missed"
        table.add_row(KINDS[row["kind"]], str(row["pictures"]), str(row["flagged"]), str(row["right_person"]), verdict)
    Console().print(table)
    typer.echo(f"report: {out / 'audit' / 'index.html'}")
