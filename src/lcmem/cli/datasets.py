"""``lcmem datasets``: which data sets can be read as they are downloaded."""

from lcmem.cli.app import TRAIN, app, examples
from lcmem.cli.remarks import remark


@app.command(rich_help_panel=TRAIN, epilog=examples("lcmem datasets"))
def datasets() -> None:
    """List the known data sets: what has to lie in the folder, identities, splits, terms, and where to get them."""
    from rich.console import Console
    from rich.table import Column, Table

    from lcmem import plugins
    from lcmem.datasets import DATASETS, find_dataset
    from lcmem.errors import LCMemError

    known = [*DATASETS.values()]
    for name in sorted(plugins.installed(plugins.DATASETS).keys() - DATASETS.keys()):
        try:
            known.append(find_dataset(name))
        except LCMemError as error:
            remark(f"lcmem: {error}")
    columns = [Column("layout", no_wrap=True), Column("what the folder holds", ratio=5, overflow="fold")]
    ratios = {"identity": 2, "splits": 2, "terms": 3}
    columns += [Column(title, ratio=ratio, overflow="fold") for title, ratio in ratios.items()]
    table = Table(*columns, show_lines=True, expand=True)
    for info in known:
        table.add_row(info.name, info.expects, info.identity, info.splits, info.terms)
    console = Console()
    console.print(table)
    for info in known:  # outside the table, where no column breaks them
        console.print(f"{info.name}: {info.url}", soft_wrap=True, highlight=False)
    console.print("\nlcmem manifest FOLDER --layout NAME", highlight=False)
