"""``lcmem review``: look at the pairs of an audit and mark them."""

from pathlib import Path
from typing import Annotated

import typer

from lcmem.cli.app import AUDIT, Device, app, examples


@app.command(
    rich_help_panel=AUDIT, epilog=examples("lcmem review lcmem-audit", "lcmem review lcmem-audit --port 8080 --open")
)
def review(
    folder: Annotated[Path, typer.Argument(help="What lcmem audit wrote.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="The audit's model, for heat maps, where its name does not lead to it.")
    ] = None,
    device: Device = "cpu",
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Serve all pairs of an audit, however many, to the browser of this machine; marks are kept in its folder."""
    import webbrowser

    from lcmem.detectors.entry import Options
    from lcmem.jobs.review.gallery import Gallery
    from lcmem.jobs.review.server import ReviewServer

    gallery = Gallery(folder, model, Options(device))
    with ReviewServer(gallery, port) as server:
        typer.echo(f"{len(gallery.pairs):,} pairs: {server.address} (Ctrl-C ends it)")
        if show:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            found = gallery.review
            typer.echo(found.sentence if found else "Nothing is marked.")
            if gallery.changed:
                gallery.result.write_report(folder)
