"""`dashboard`: the history as a site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from matrix.cli.options import open_project, store_option, table_options


@click.command()
@click.option(
    "--out",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    required=True,
    help="Where the site goes: a new folder, or an older site, which is replaced as a whole.",
)
@table_options
@store_option
@click.option(
    "--include",
    metavar="NAME",
    multiple=True,
    help="A model that is not in the table and may be shown all the same. Repeatable.",
)
@click.option("--title", metavar="TEXT", help="Name of the site, on every page and in the feed.")
@click.option("--base-url", metavar="URL", default="", help="Address the site will have, for links in feed and badges.")
@click.option("--serve", is_flag=True, help="Show it afterwards, on this machine only, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="For --serve; default: a free one.")
def dashboard(
    out: Path,
    store: str | None,
    include: tuple[str, ...],
    title: str | None,
    base_url: str,
    serve: bool,
    port: int,
    **options: Any,
) -> None:
    """Make the site: what every cell came to, run by run, as pages that need no server.

    Open FOLDER/index.html, or put the folder on any static host. Verdicts are drawn anew from what was observed.
    Only models of the table are shown, unless --include names another; nothing in it tells this machine's folders.

    \b
    Examples:
      python -m matrix dashboard --out site/
      python -m matrix dashboard --out site/ --serve --port 8000
      python -m matrix dashboard --out site/ --base-url https://example.org/compatibility/
    """
    from matrix.core.errors import UsageError
    from matrix.outputs.dashboard.serve import serve as serve_site
    from matrix.outputs.dashboard.site import TITLE, SiteRequest, build

    if base_url and not base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {base_url}: write it whole, such as https://example.org/compatibility/")
    base = f"{base_url.rstrip('/')}/" if base_url else ""
    project = open_project(**options)
    history = project.state.open_store(store)
    try:
        built = build(project, history, SiteRequest(out, include, title or TITLE, base))
    finally:
        history.close()
    if built.left_out:
        click.echo(
            f"left out: {built.left_out} cells of models that are not in the table; --include NAME shows those of one",
            err=True,
        )
    click.echo(
        f"{out}/index.html: {built.cells} cells of {built.runs} runs, {built.files} files, {built.bytes / 2**20:.1f} MB"
    )
    if serve:
        serve_site(out, port, lambda text: click.echo(text))
