"""``lcmem search``: who is this?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from lcmem.cli.app import SEARCH, Device, Download, Model, app, examples, open_detector


@app.command(
    rich_help_panel=SEARCH,
    epilog=examples("lcmem search real.atlas picture.png", "lcmem search real.atlas a.png b.png --top-k 20 --json"),
)
def search(
    atlas: Annotated[Path, typer.Argument(help="What lcmem index wrote.")],
    pictures: Annotated[list[str], typer.Argument(help="Pictures to look for.", metavar="PICTURE...")],
    top_k: Annotated[int, typer.Option(min=1, help="Matches to show for each picture.")] = 5,
    model: Model = "compact",
    device: Device = "cpu",
    download: Download = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The pictures of an atlas that are most like these."""
    import json

    import lcmem
    from lcmem.jobs.search import search_atlas

    found = search_atlas(lcmem.Atlas.open(atlas), pictures, open_detector(model, device, download), top_k)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print_matches(found)


def print_matches(found: list[dict[str, Any]]) -> None:
    """A block of lines for each picture, best match first."""
    for item in found:
        typer.echo(item["picture"])
        for match in item["matches"]:
            identity = f"  ({match['identity']})" if match["identity"] else ""
            if "probability" in match:
                score = f"logit {match['logit']:9.4f}  p {match['probability']:.4f}"
            else:
                score = f"similarity {match['logit']:z.4f}"
            typer.echo(f"  {score}  {match['path']}{identity}")
