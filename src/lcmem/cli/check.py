"""``lcmem check``: open everything before a long job."""

from collections import Counter
from typing import Annotated

import typer

from lcmem.cli.app import AUDIT, Identities, IdentityColumn, IdentityPattern, Workers, app, examples

LISTED = 20


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem check real/ synthetic/",
        "lcmem check xrays/ --identity-pattern '([0-9]+)_'",
    ),
)
def check(
    paths: Annotated[list[str], typer.Argument(help="Folders, zip files of pictures, CSV or Parquet tables.")],
    identity_pattern: IdentityPattern = None,
    identity_column: IdentityColumn = "identity",
    identities: Identities = True,
    workers: Workers = None,
) -> None:
    """Open every picture and count splits, datasets, identities, sizes, unreadable files. Exit 1 if any is wrong."""
    from rich.console import Console
    from rich.table import Table

    from lcmem.errors import LCMemError
    from lcmem.jobs.check import inspect_pictures
    from lcmem.pictures.manifest import Manifest

    console, wrong = Console(), False
    for source in paths:
        manifest = Manifest.read(
            source, identity_pattern=identity_pattern, identity_column=identity_column, identities=identities
        )
        table = Table("dataset", "split", "pictures", "identities", "with ≥ 2", title=source)
        for (dataset, split), part in manifest.table.groupby(["dataset", "split"]):
            sizes = part["identity"][part["identity"] != ""].value_counts()
            table.add_row(dataset, split or "–", str(len(part)), str(len(sizes)), str((sizes > 1).sum()))
        console.print(table)
        sizes, failures = inspect_pictures(manifest.paths, workers=workers)
        common = ", ".join(f"{width}×{height} ({count})" for (width, height), count in Counter(sizes).most_common(5))
        console.print(f"{len(sizes)} readable; most common sizes: {common or 'none'}")
        if manifest.ignored:
            others = ", ".join(f"{count} × {suffix}" for suffix, count in sorted(manifest.ignored.items()))
            console.print(f"not pictures: {others}", soft_wrap=True, highlight=False)
        for reason in failures[:LISTED]:
            console.print(f"[red]unreadable[/] {reason}", soft_wrap=True, highlight=False)
        if len(failures) > LISTED:
            console.print(f"[red]… and {len(failures) - LISTED} more[/]")
        try:
            manifest.check_disjoint()
        except LCMemError as error:
            console.print(f"[red]{error}[/]")
            wrong = True
        wrong |= bool(failures)
    if wrong:
        raise typer.Exit(1)
