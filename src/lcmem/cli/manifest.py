"""``lcmem manifest``: write down which pictures, whose, which split."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import TRAIN, Identities, IdentityColumn, IdentityPattern, Root, app, examples


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem manifest real/ --split --out manifest.csv",
        "lcmem manifest xrays/ --identity-pattern '([0-9]+)_' --split --out xrays.csv",
        "lcmem manifest celeba/ --layout celeba --out celeba.parquet",
    ),
)
def manifest(
    source: Annotated[str, typer.Argument(help="Folder, zip, CSV or Parquet; or the folder of a known data set.")],
    out: Annotated[Path, typer.Option(help="CSV or Parquet to write.")] = Path("manifest.csv"),
    layout: Annotated[
        str | None,
        typer.Option(
            help="Known layout of SOURCE, for example celeba or mimic-cxr; `lcmem datasets` lists all. "
            "Default: any folder or table."
        ),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Divide the identities into train, val and test (80/10/10) by a hash.")
    ] = False,
    identity_pattern: IdentityPattern = None,
    identity_column: IdentityColumn = "identity",
    identities: Identities = True,
    root: Root = None,
) -> None:
    """List pictures with identity, split and dataset in a table that every other command reads."""
    from lcmem.datasets import read_dataset
    from lcmem.pictures.manifest import Manifest

    if layout is None:
        found = Manifest.read(
            source,
            identity_pattern=identity_pattern,
            identity_column=identity_column,
            identities=identities,
            root=root,
        )
    else:
        found = read_dataset(layout, Path(source))
    if split:
        found = found.with_splits()
    found.write(out)
    typer.echo(f"{len(found)} pictures: {out}")
