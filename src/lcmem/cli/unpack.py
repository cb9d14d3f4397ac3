"""``lcmem unpack``: files of the pictures that other files hold."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import TRAIN, app, examples
from lcmem.cli.remarks import remark
from lcmem.cli.stopping import stopping


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem unpack samples.npz --out samples",
        "lcmem unpack train-00000-of-00002.parquet train-00001-of-00002.parquet --out real",
        "lcmem unpack shard-000.tar shard-001.tar --out real",
    ),
)
def unpack(
    sources: Annotated[
        list[Path], typer.Argument(help="Arrays (.npz, .npy), tar files, or Parquet files with a column of pictures.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the table of them.")] = Path("lcmem-unpacked"),
) -> None:
    """Make files of the pictures in arrays, tar shards and Hugging Face's Parquet files, with a table of them."""
    from lcmem.jobs.output import claim_output
    from lcmem.jobs.unpack import SKIPPED, TABLE
    from lcmem.jobs.unpack import unpack as unpacked

    given = {f"source {at}": source for at, source in enumerate(sources, 1)}
    with stopping("; the same command unpacks them anew"), claim_output(out, "unpack", given):
        found = unpacked(sources, out)
    columns = ", ".join(name for name in found.table if name not in ("path", "source", "name"))
    also = f" (columns {columns}; --identity-column takes one that names people)" if columns else ""
    typer.echo(f"{len(found.table)} pictures: {out / TABLE}{also}")
    if len(found.skipped):
        first = found.skipped.iloc[0]
        remark(
            f"{len(found.skipped)} cannot be used, see {out / SKIPPED}, for example {first['name']}: {first['reason']}"
        )
