"""``lcmem scan``: every pair of two sets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcmem.cli.app import (
    Cluster,
    Device,
    Identities,
    IdentityColumn,
    IdentityPattern,
    Model,
    Out,
    Workers,
    app,
    resumable,
)


@app.command()
def scan(
    queries: Annotated[str, typer.Argument(help="Pictures (folder, zip, CSV, Parquet) or an atlas.")],
    gallery: Annotated[
        str | None, typer.Argument(help="The same. Default: the queries themselves, each pair once.")
    ] = None,
    out: Out = Path("lcmem-scan"),
    threshold: Annotated[
        float,
        typer.Option(
            help="Probability from which a pair is a match. The default is the paper's; in a large set it lists far "
            "too much: take the threshold in summary.json of lcmem audit."
        ),
    ] = 0.5,
    top_k: Annotated[int, typer.Option(min=1, help="Best matches to keep for each query.")] = 5,
    model: Model = "compact",
    identity_pattern: IdentityPattern = None,
    identity_column: IdentityColumn = "identity",
    identities: Identities = True,
    device: Device = "cpu",
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Score every pair, exactly: best matches, all matches, and the histogram of scores by identity."""
    import lcmem
    from lcmem.cli.pictures import read_pictures
    from lcmem.errors import LCMemError
    from lcmem.jobs.scan import scan_sets
    from lcmem.stats.calibration import given_threshold

    if not 0 < threshold < 1:
        raise LCMemError(f"the threshold is a probability between 0 and 1, not {threshold}")
    one = read_pictures(queries, identity_pattern, identity_column, identities)
    two = None if gallery is None else read_pictures(gallery, identity_pattern, identity_column, identities)
    logit = given_threshold(threshold).logit
    with resumable():
        detector = lcmem.load(model, device=device)
        summary = scan_sets(one, two, detector, out, k=top_k, threshold=logit, workers=workers, cluster=cluster)
    print_scan(summary, out)


def print_scan(summary: dict[str, Any], out: Path) -> None:
    """The counts."""
    typer.echo(f"{summary['queries']} × {summary['gallery']} pictures, {summary['pairs']:,} pairs")
    for kind, pairs in summary["pairs_of_each_kind"].items():
        if pairs:
            typer.echo(f"  {kind} identity: {summary['matches'][kind]:,} of {pairs:,} pairs match")
    wrong = summary["queries_that_match_another_identity"]
    if wrong is not None:
        typer.echo(f"{wrong} of {summary['queries']} queries match a picture of another identity")
    if summary["skipped"]:
        typer.secho(f"{summary['skipped']} pictures were skipped, see skipped.csv", fg="yellow", err=True)
    typer.echo(f"tables and histogram: {out}")
