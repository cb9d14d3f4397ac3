"""``lcmem check``: open everything before a long job."""

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from lcmem.cli.app import AUDIT, Workers, app, examples
from lcmem.cli.pictures import AS_IS, Reading, reading_options

if TYPE_CHECKING:
    from rich.console import Console

    from lcmem.jobs.check import Inspection
    from lcmem.pictures.manifest import Manifest

LISTED = 20
SLICE = re.compile(r"#slice=\d+(?=: )")


@app.command(
    rich_help_panel=AUDIT,
    epilog=examples("lcmem check real/ synthetic/", "lcmem check xrays/ --identity-pattern '([0-9]+)_'"),
)
@reading_options
def check(
    paths: Annotated[list[str], typer.Argument(help="Folders, zip files of pictures, CSV or Parquet tables, atlases.")],
    reading: Reading = AS_IS,
    workers: Workers = None,
) -> None:
    """Open every picture and say whose they are, what cannot be used and what looks wrong. Exit 1 if anything is."""
    import warnings

    from rich.console import Console

    from lcmem.atlas import Atlas, verify
    from lcmem.errors import LCMemWarning

    wrong, console = False, Console(soft_wrap=True, highlight=False)
    for source in paths:
        with warnings.catch_warnings(record=True, action="always", category=LCMemWarning) as remarks:
            found = reading.pictures(source)
        if isinstance(found, Atlas):
            wrong |= _print_problems(verify(found, pictures=True), console)
        manifest = found.manifest if isinstance(found, Atlas) else found
        wrong |= _page(manifest, source, workers, console)
        for remark in (each for each in remarks if issubclass(each.category, LCMemWarning)):
            text = manifest.below(str(remark.message)).removeprefix(f"{source}: ")
            console.print(f"doubtful: {text}", style="yellow", markup=False)
    if wrong:
        raise typer.Exit(1)


def _page(manifest: "Manifest", source: str, workers: int | None, console: "Console") -> bool:
    """Print what there is to say about a set; whether anything is wrong with it."""
    from lcmem.errors import LCMemError
    from lcmem.jobs.check import dataset_advice, inspect_pictures, link_count
    from lcmem.pictures.hints import identity_advice
    from lcmem.pictures.listing import ignored_text

    _print_counts(manifest, source, console)
    for advice in filter(None, (identity_advice(manifest), dataset_advice(manifest))):
        console.print(advice, markup=False)
    inspection = inspect_pictures(manifest.paths, workers=workers)
    common = Counter(inspection.sizes).most_common(5)
    sizes = ", ".join(f"{width}×{height} ({count})" for (width, height), count in common)
    console.print(f"{len(inspection.sizes)} can be used; most common sizes: {sizes or 'none'}")
    links = link_count(manifest)
    if links:
        console.print(f"links to the file of another picture: {links}; lcmem duplicates lists them")
    if manifest.ignored:
        console.print(f"not pictures: {ignored_text(manifest.ignored)}", markup=False)
    _print_reasons(inspection, manifest, console)
    try:
        manifest.check_disjoint()
    except LCMemError as error:
        console.print(str(error), style="red", markup=False)
        return True
    return bool(inspection.unreadable)


def _print_problems(problems: list[str], console: "Console") -> bool:
    """What is wrong with an atlas; whether anything is."""
    for problem in problems:
        console.print(problem, style="red", markup=False)
    return bool(problems)


def _print_counts(manifest: "Manifest", source: str, console: "Console") -> None:
    from rich.table import Table

    table = Table("dataset", "split", "pictures", "identities", "with ≥ 2", title=source)
    for (dataset, split), part in manifest.table.groupby(["dataset", "split"]):
        sizes = part["identity"][part["identity"] != ""].value_counts()
        table.add_row(dataset, split or "–", str(len(part)), str(len(sizes)), str((sizes > 1).sum()))
    console.print(table)


def _print_reasons(inspection: "Inspection", manifest: "Manifest", console: "Console") -> None:
    """Pictures that are set aside and those that cannot be read, by their path below the set's folder."""
    for title, colour, reasons in (
        ("set aside, they show nothing by which anybody could be recognised", "yellow", inspection.low),
        ("unreadable", "red", inspection.unreadable),
    ):
        if reasons:
            console.print(f"{len(reasons)} {title}:", style=colour)
        files = Counter(SLICE.sub("", reason) for reason in reasons)  # of a damaged volume it is that of every slice
        for reason in [*files][:LISTED]:
            slices = f" ({files[reason]} slices)" if files[reason] > 1 else ""
            console.print(f"  {manifest.below(reason)}{slices}", markup=False)
        if len(files) > LISTED:
            console.print(f"  … and {len(files) - LISTED} more files")
