"""``lcmem index``: features once, so that every later audit, search or look for duplicates starts at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import (
    SEARCH,
    Device,
    Download,
    Model,
    RayWorkers,
    Workers,
    app,
    examples,
    open_detector,
    resumable,
    warn_skipped,
)
from lcmem.cli.pictures import AS_IS, Reading, reading_options
from lcmem.cli.stopping import held

if TYPE_CHECKING:
    from lcmem.store import Filled


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples(
        "lcmem index real/ --out real.atlas",
        "lcmem index xrays/ --identity-pattern '([0-9]+)_' --out xrays.atlas --device cuda:0,cuda:1",
    ),
)
@reading_options
def index(
    pictures: Annotated[str, typer.Argument(help="Folder, zip, CSV or Parquet.")],
    out: Annotated[Path, typer.Option(help="Folder of the atlas, new or to be brought up to date.")] = Path(
        "lcmem-atlas"
    ),
    model: Model = "compact",
    reading: Reading = AS_IS,
    keep_missing: Annotated[
        bool,
        typer.Option(
            "--keep-missing", help="Keep what is in the atlas but not in PICTURES, to put several sets into one atlas."
        ),
    ] = False,
    device: Device = "cpu",
    workers: Workers = None,
    ray_workers: RayWorkers = None,
    download: Download = False,
) -> None:
    """Make an atlas of pictures. Run again, it follows them: what is gone goes, only what is new is encoded."""
    from lcmem.atlas import Atlas, fill_atlas
    from lcmem.cluster.encode import encoded_distributed
    from lcmem.jobs.output import claim_store
    from lcmem.store.index import SKIPPED

    held(claim_store(out, "atlas", {"pictures": pictures}))
    manifest = reading.manifest(pictures)
    detector = open_detector(model, device, download)
    atlas = Atlas.create(out, detector)
    with resumable():
        encode = None if ray_workers is None else encoded_distributed(detector, ray_workers)
        done = fill_atlas(manifest, detector, atlas, workers=workers, encode=encode, keep_missing=keep_missing)
    print_filling(done, out / SKIPPED)
    if done.moved or done.removed:
        typer.echo(f"{done.moved} moved or renamed, {done.removed} removed (--keep-missing keeps them)")
    typer.echo(f"atlas: {out} ({len(atlas)} pictures)")


def print_filling(done: "Filled", listed: Path) -> None:
    """What was encoded, how fast, and what was skipped and why, all of it in the file ``listed``."""
    reused = len(done.stored) - done.encoded
    speed = f" at {done.encoded / done.seconds:.1f} a second" if done.encoded else ""
    typer.echo(f"{done.encoded} pictures encoded{speed}, {reused} reused, {len(done.skipped)} skipped")
    warn_skipped(done.skipped, listed)
