"""``lcmem encode``: latents once, so that training never waits for the autoencoder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import TRAIN, Device, Download, Encoder, Out, Size, Workers, app, examples, resumable
from lcmem.cli.pictures import AS_IS, Reading, reading_options
from lcmem.cli.stopping import held

if TYPE_CHECKING:
    from lcmem.latents import LatentStore


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem encode manifest.csv --mirror --out latents",
        "lcmem encode manifest.csv --encoder sd-vae --size 512 --out latents --download --device cuda",
    ),
)
@reading_options
def encode(
    manifest: Annotated[str, typer.Argument(help="The pictures: folder, zip, CSV or Parquet; see lcmem manifest.")],
    encoder: Encoder = "compact-autoencoder",
    out: Out = Path("lcmem-latents"),
    size: Size = 256,
    mirror: Annotated[bool, typer.Option("--mirror", help="Store every picture's mirror image too.")] = False,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    workers: Workers = None,
    download: Download = False,
) -> None:
    """Encode pictures into a latent store. Run again, it encodes only what is new or changed."""
    from lcmem.encoders import load_encoder
    from lcmem.jobs.output import claim_store
    from lcmem.latents import build_store

    held(claim_store(out, "latents", {"manifest": manifest}))
    pictures = reading.manifest(manifest)
    frozen = load_encoder(encoder, device=device, allow_download=download)
    with resumable():
        store = build_store(pictures, frozen, size, out, mirror=mirror, workers=workers, device=device)
    print_store(store)


def print_store(store: "LatentStore") -> None:
    """What was done, how large the store is, and the statistics of its channels."""
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    table = Table("dataset", "pictures", "mean", "standard deviation", title="latent channels", title_justify="left")
    counts = store.manifest.table["dataset"].value_counts()
    for name, statistics in store.statistics_by_dataset().items():
        columns = (" ".join(f"{value:.3f}" for value in values) for values in (statistics.mean, statistics.std))
        table.add_row(name or "–", str(counts[name]), *columns)
    console = Console()
    console.print(table)
    done = f"{store.encoded} encoded, {len(store) - store.encoded} reused, {len(store.skipped)} skipped"
    console.print(f"{len(store)} pictures: {done}", highlight=False)
    if store.skipped:
        console.print(f"[yellow]see {store.folder / 'skipped.csv'}[/]", soft_wrap=True, highlight=False)
        for reason in store.skipped[:5]:
            console.print(f"  {reason}", soft_wrap=True, highlight=False, markup=False)
    used = sum(path.stat().st_size for path in store.folder.rglob("*") if path.is_file())
    console.print(f"store: {store.folder} ({decimal(used)})", soft_wrap=True, highlight=False)
