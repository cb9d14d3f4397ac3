"""``lcmem check``: open everything before a long job."""

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import AUDIT, Workers, app, examples
from lcmem.cli.pictures import AS_IS, Reading, reading_options

if TYPE_CHECKING:
    from rich.console import Console

    from lcmem.jobs.check import Checked, Inspection
    from lcmem.pictures.manifest import Manifest

LISTED = 20
SLICE = re.compile(r"#slice=\d+(?=: )")


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples(
        "lcmem check real/ synthetic/",
        "lcmem check xrays/ --identity-pattern '([0-9]+)_'",
        "lcmem check real/ --json > what-is-wrong.json",
    ),
)
@reading_options
def check(
    paths: Annotated[list[str], typer.Argument(help="Folders, zip files of pictures, CSV or Parquet tables, atlases.")],
    reading: Reading = AS_IS,
    workers: Workers = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as JSON, with every picture that cannot be used.")
    ] = False,
) -> None:
    """Open every picture and say whose they are, what cannot be used and what looks wrong. Exit 1 if anything is."""
    import json
    import warnings

    from rich.console import Console

    from lcmem.errors import LCMemWarning
    from lcmem.jobs.check import check_set

    every = []
    for source in paths:
        with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
            found = reading.pictures(source)
        doubts = [str(each.message) for each in remarks if issubclass(each.category, LCMemWarning)]
        every.append(check_set(source, found, doubts, workers=workers))
        if not as_json:
            _print_page(every[-1], Console(soft_wrap=True, highlight=False))
    if as_json:
        typer.echo(json.dumps([each.summary() for each in every], indent=2, ensure_ascii=False))
    if any(each.wrong for each in every):
        raise typer.Exit(1)


def _print_page(checked: "Checked", console: "Console") -> None:
    """What there is to say about a set."""
    from lcmem.pictures.listing import ignored_text

    manifest = checked.manifest
    _print_counts(checked, console)
    for advice in checked.advice:
        console.print(advice, markup=False)
    sizes = ", ".join(f"{width}×{height} ({count})" for (width, height), count in checked.sizes[:5])
    console.print(f"{len(checked.inspection.sizes)} can be used; most common sizes: {sizes or 'none'}")
    if checked.links:
        console.print(f"links to the file of another picture: {checked.links}; lcmem duplicates lists them")
    if manifest.ignored:
        console.print(f"not pictures: {ignored_text(manifest.ignored)}", markup=False)
    _print_reasons(checked.inspection, manifest, console)
    for problem in checked.problems:
        console.print(problem, style="red", markup=False)
    for doubt in checked.doubts:
        text = manifest.below(doubt).removeprefix(f"{checked.source}: ")
        console.print(f"doubtful: {text}", style="yellow", markup=False)


def _print_counts(checked: "Checked", console: "Console") -> None:
    from rich.table import Table

    table = Table("dataset", "split", "pictures", "identities", "with ≥ 2", title=checked.source)
    for row in checked.counts.itertuples():
        table.add_row(row.dataset, row.split or "–", *map(str, (row.pictures, row.identities, row.of_several)))
    console.print(table)


def _print_reasons(inspection: "Inspection", manifest: "Manifest", console: "Console") -> None:
    """Pictures that are set aside and those that cannot be read, by their path below the set's folder."""
    for title, colour, reasons in (
        ("set aside, they show nothing by which anybody could be recognised", "yellow", inspection.low),
        ("unreadable", "red", inspection.unreadable),
    ):
        if reasons:
            console.print(f"{len(reasons)} {title}:", style=colour)
        files = Counter(SLICE.sub("", reason) for _, reason in reasons)  # of a damaged volume it is that of every slice
        for reason in [*files][:LISTED]:
            slices = f" ({files[reason]} slices)" if files[reason] > 1 else ""
            console.print(f"  {manifest.below(reason)}{slices}", markup=False)
        if len(files) > LISTED:
            console.print(f"  … and {len(files) - LISTED} more files, which --json lists")
