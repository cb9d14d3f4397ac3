"""``lcmem atlas``: care for what ``lcmem index`` wrote."""

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import SEARCH, Model, app, examples

atlas_app = typer.Typer(no_args_is_help=True, help="Describe, verify, merge, thin out or export an atlas.")
app.add_typer(atlas_app, name="atlas", rich_help_panel=SEARCH)

Place = Annotated[Path, typer.Argument(metavar="ATLAS", help="What lcmem index wrote.")]


@atlas_app.command(epilog=examples("lcmem atlas verify real.atlas", "lcmem atlas verify real.atlas --pictures"))
def verify(
    atlas: Place,
    pictures: Annotated[bool, typer.Option("--pictures", help="Read the pictures too: has one changed?")] = False,
) -> None:
    """Read everything again; exit code 1 if anything is wrong."""
    from lcmem.atlas import Atlas
    from lcmem.atlas import verify as check

    opened = Atlas.open(atlas)
    problems = check(opened, pictures=pictures)
    for problem in problems:
        typer.secho(problem, fg="red", err=True)
    if problems:
        raise typer.Exit(1)
    count = len(opened.store.shards.numbers())
    typer.echo(f"{atlas}: {len(opened)} pictures in {count} shards, model {opened.model}: nothing is wrong")


@atlas_app.command(epilog=examples("lcmem atlas info real.atlas", "lcmem atlas info real.atlas --json"))
def info(
    atlas: Place, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False
) -> None:
    """Whose pictures it holds, of which model, and how large it is. Opens no picture."""
    import json

    from lcmem.atlas import Atlas

    found = Atlas.open(atlas).summary()
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    typer.echo(
        f"{atlas}: {found['pictures']} pictures ({found['contents']} contents), {found['identities']} identities"
    )
    for dataset, count in found["datasets"].items():
        typer.echo(f"  {dataset or '(no dataset)'}: {count}")
    typer.echo(f"model: {found['model']} {found['fingerprint'][:12]}…, {found['features']} features")
    typer.echo(f"disk: {found['bytes'] / 1e6:.1f} MB in {found['shards']} shards")
    if found["skipped"]:
        typer.echo(f"skipped when it was filled: {found['skipped']}, see skipped.csv in it")


@atlas_app.command(epilog=examples("lcmem atlas merge real.atlas january.atlas february.atlas"))
def merge(
    atlas: Place,
    others: Annotated[list[Path], typer.Argument(metavar="OTHER...", help="Atlases of the same model; they stay.")],
) -> None:
    """Add the pictures of other atlases. Of a picture in several, the last one counts."""
    from lcmem.atlas import Atlas

    opened = Atlas.open(atlas)
    opened.merge(others)
    typer.echo(f"{atlas}: {len(opened)} pictures")


@atlas_app.command(epilog=examples("lcmem atlas remove real.atlas real/patient07 real/patient08/1.png"))
def remove(
    atlas: Place,
    pictures: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Pictures, or folders, zips or volumes of them.")
    ],
) -> None:
    """Forget pictures. Neither they nor their folders need to exist any more."""
    from lcmem.atlas import Atlas
    from lcmem.errors import LCMemError

    opened = Atlas.open(atlas)
    found = {
        name: _below(opened.paths, os.path.abspath(name)) or _below(opened.paths, os.path.realpath(name))
        for name in pictures
    }
    if absent := [name for name, paths in found.items() if not paths]:
        with suppress(LCMemError):
            opened.remove([])  # deletes what a killed run left
        raise LCMemError(f"{atlas}: holds none of {', '.join(absent)}; nothing was removed")
    typer.echo(f"{opened.remove(chain(*found.values()))} removed, {len(opened)} left")


def _below(paths: Iterable[str], name: str) -> list[str]:
    """Those that are a picture of this name, or lie in it."""
    return [path for path in paths if path == name or path.startswith((f"{name}/", f"{name}#"))]


@atlas_app.command(
    epilog=examples(
        "lcmem atlas export real.atlas --format faiss-flat --out export", "lcmem atlas export real.atlas --out table"
    )
)
def export(
    atlas: Place,
    format_: Annotated[
        str, typer.Option("--format", help="faiss-flat (exact), faiss-hnsw (approximate) or table (Parquet).")
    ] = "table",
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("lcmem-export"),
    model: Model = "compact",
) -> None:
    """Write the atlas for another search engine: plain Manhattan distance is then bias − logit."""
    from lcmem.atlas import Atlas
    from lcmem.atlas.export import export_atlas
    from lcmem.detectors.lcmem import LCMem
    from lcmem.detectors.registry import load_detector
    from lcmem.errors import LCMemError
    from lcmem.jobs.output import claim_store

    opened, detector = Atlas.open(atlas), load_detector(model)
    if not isinstance(detector, LCMem):
        raise LCMemError(f"{detector.name}: only the features of LCMem's models are compared by Manhattan distance")
    with claim_store(out, "export", {"atlas": atlas}):
        export_atlas(opened, detector, format_, out)
    typer.echo(f"{len(opened)} pictures: {out}; logit = {float(detector.bias):.6f} − distance")
