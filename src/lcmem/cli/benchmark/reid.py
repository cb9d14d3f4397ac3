"""``lcmem benchmark reid``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import Device, Download, Size, examples, split_names
from lcmem.cli.benchmark.group import Cache, Detectors, benchmark_pictures, chosen_split, fail_without_numbers, group
from lcmem.cli.pictures import AS_IS, Reading, reading_options

if TYPE_CHECKING:
    import pandas as pd

SHOWN = {
    "specificity_at_99_sensitivity": "spec.",
    "precision_at_99_recall": "prec.",
    "map_at_r": "MAP@R",
    "precision_at_1": "P@1",
    "accuracy": "accuracy",
}
"""Columns of the table that are printed, beside the AUC, and their headings."""


@group.command(
    epilog=examples("lcmem benchmark reid --data manifest.csv --detectors mse,phash,compact,mine=runs/mine/stage2")
)
@reading_options
def reid(
    data: Annotated[Path, typer.Option(help="Manifest (CSV or Parquet), folder or zip with identities.")],
    detectors: Detectors = "mse,ncc,ssim,compact",
    split: Annotated[
        str | None, typer.Option(help="Split to use. Default: test, if there is one and no --pairs are given; or all.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="How negative pairs are drawn: fixed (at random) or paper (as in the official code).")
    ] = "fixed",
    pairs: Annotated[
        Path | None, typer.Option(help="A list to take instead: LFW's pairs.txt, or a pairs.csv written before.")
    ] = None,
    size: Size = 256,
    out: Annotated[Path, typer.Option(help="Folder for reid.csv, .md, .png, .svg and pairs.csv.")] = Path(
        "lcmem-benchmark"
    ),
    cache: Cache = None,
    reading: Reading = AS_IS,
    device: Device = "cpu",
    download: Download = False,
    seed: Annotated[int, typer.Option(help="Of negative pairs and of the bootstrap.")] = 0,
    bootstrap: Annotated[int, typer.Option(min=1, help="Replicates for the 95 % intervals.")] = 1000,
) -> None:
    """Re-identification (paper, table 2): AUC, specificity, error rates and retrieval, by dataset and detector."""
    from lcmem.detectors.entry import Options
    from lcmem.evaluation.reid.run import benchmark_reid

    names = split_names(detectors)
    manifest = benchmark_pictures(data, names, out, "reid", reading)
    if pairs is None:
        split = chosen_split(manifest, split)
    table = benchmark_reid(
        manifest.select(split=split),
        names,
        out,
        protocol=protocol,
        pairs=pairs,
        size=size,
        cache=cache,
        options=Options(device, download),
        seed=seed,
        bootstrap=bootstrap,
    )
    print_reid(table, split)
    typer.echo(f"tables: {out / 'reid.csv'}, {out / 'reid.md'}")
    typer.echo(f"figure: {out / 'reid.png'}, {out / 'reid.svg'}")
    if (out / "reliability.png").is_file():
        typer.echo(f"reliability: {out / 'reliability.png'}, {out / 'reliability.svg'}")
    typer.echo(f"pairs: {out / 'pairs.csv'}")
    fail_without_numbers(table)


def print_reid(table: "pd.DataFrame", split: str | None) -> None:
    """The numbers that matter, one line for each dataset and detector, and which detectors failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    from lcmem.evaluation.reid.report import without_repeats

    known = {name: title for name, title in SHOWN.items() if name in table}
    names = [Column(title, overflow="fold") for title in ("dataset", "detector")]
    figures = [Column(title, no_wrap=True) for title in ("ids", "AUC", "95 % interval", *known.values())]
    title = f"re-identification, protocol {table['protocol'].iloc[0]}, split {split or 'all'}"
    caption = "ids: identities; spec.: specificity at 99 % sensitivity; prec.: precision at 99 % recall"
    lines = Table(*names, *figures, title=title, caption=caption, box=None)
    for row in without_repeats(table[table["status"] == "ok"]).to_dict("records"):
        numbers = ["–" if row[name] != row[name] else f"{row[name]:.3f}" for name in ("auc", *known)]
        interval = f"{row['auc_low']:.3f}–{row['auc_high']:.3f}"
        lines.add_row(row["dataset"], row["detector"], str(row["n_identities"]), numbers[0], interval, *numbers[1:])
    console = Console()
    console.print(lines)
    for row in table[table["status"] != "ok"].drop_duplicates("detector").itertuples():
        reason = escape(f"{row.detector} was not measured: {row.status}")
        console.print(f"[yellow]{reason}[/]", soft_wrap=True, highlight=False)
