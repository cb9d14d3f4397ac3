"""``lcmem datasets``: which data sets can be read as they are downloaded."""

from lcmem.cli.app import TRAIN, app, examples


@app.command(
    rich_help_panel=TRAIN,
    epilog=examples(
        "lcmem datasets",
    ),
)
def datasets() -> None:
    """List the known data sets: what has to lie in the folder, identities, terms, and where to get them."""
    from rich.console import Console
    from rich.table import Column, Table

    from lcmem.datasets import DATASETS

    columns = (Column("layout", no_wrap=True), Column("what the folder holds", ratio=5, overflow="fold"))
    table = Table(*columns, Column("identity", ratio=2), Column("terms", ratio=3), show_lines=True, expand=True)
    for info in DATASETS.values():
        table.add_row(info.name, info.expects, info.identity, info.terms)
    console = Console()
    console.print(table)
    for info in DATASETS.values():  # outside the table, where no column breaks them
        console.print(f"{info.name}: {info.url}", soft_wrap=True, highlight=False)
    console.print("\nlcmem manifest FOLDER --layout NAME", highlight=False)
