"""``lcmem manifest``: write down which pictures, whose, which split."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import TRAIN, app, examples
from lcmem.cli.pictures import AS_IS, Reading, reading_options
from lcmem.cli.remarks import remark


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem manifest real/ --split --out manifest.csv",
        "lcmem manifest xrays/ --identity-pattern '([0-9]+)_' --split --out xrays.csv",
        "lcmem manifest celeba/ --layout celeba --out celeba.parquet",
    ),
)
@reading_options
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
    reading: Reading = AS_IS,
) -> None:
    """List pictures with identity, split and dataset in a table that every other command reads."""
    from lcmem.datasets import read_dataset
    from lcmem.errors import LCMemError
    from lcmem.jobs.output import claim_file
    from lcmem.pictures.hints import identity_advice

    claim_file(out, {"source": source})
    found = reading.manifest(source) if layout is None else read_dataset(layout, Path(source))
    if split and (found.table["split"] != "").any():
        raise LCMemError(f"{source}: has splits already ({found.counts}); leave --split or that column out")
    if split:
        found = found.with_splits()
    found.write(out)
    typer.echo(f"{found.counts}: {out}")
    if not found.labelled:
        torn = ", and those of one person may have come into several splits" if split else ""
        remark(f"{identity_advice(found)}{torn}")
