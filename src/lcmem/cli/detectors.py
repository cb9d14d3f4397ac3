"""``lcmem detectors``: what can be measured beside LCMem."""

from lcmem.cli.app import MEASURE, app, examples


@app.command(rich_help_panel=MEASURE, epilog=examples("lcmem detectors"))
def detectors() -> None:
    """List the known detectors: what they see, how many features they make, their weights, sources and licences."""
    from rich.console import Console
    from rich.table import Column, Table

    from lcmem.detectors.registry import known_detectors

    known = known_detectors()
    numbers = (Column("pixels", justify="right"), Column("features", justify="right"))
    what, family, weights = (Column(title, overflow="fold") for title in ("what it is", "family", "weights"))
    table = Table(Column("name", no_wrap=True), what, family, *numbers, weights)
    for name, entry in known.items():
        side, dims = (str(number or "any") for number in (entry.size, entry.dims))
        table.add_row(name, entry.title, entry.family, side, dims, entry.weights)
    console = Console()
    console.print(table)
    for name, entry in known.items():  # outside the table, where no column breaks them
        console.print(f"{name}: {entry.source} ({entry.licence})", soft_wrap=True, highlight=False)
    console.print(
        "\nhub: downloaded with --download, or NAME=PATH for a file of your own. "
        "local: lcmem train NAME, then NAME=FOLDER. installed: from another package. docs/detectors.md says more.",
        highlight=False,
    )
