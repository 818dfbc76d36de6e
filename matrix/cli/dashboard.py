"""`dashboard`: the history as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from matrix.cli.options import PATH, include_option, store_option, table_options
from matrix.cli.steps import open_store, say
from matrix.core.errors import UsageError


@click.command()
@click.option("--out", metavar="FOLDER", type=PATH, required=True,
              help="Folder to write: a new one, or an older site, which is replaced as a whole.")  # fmt: skip
@table_options
@store_option
@include_option
@click.option("--title", metavar="TEXT", help="Name of the site, on every page and in the feed.")
@click.option("--base-url", metavar="URL", default="", help="Address of the site, for links in feed and badges.")
@click.option("--serve", is_flag=True, help="Serve it afterwards, on this machine only, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="For --serve; default: a free one.")
def dashboard(
    out: Path, include: tuple[str, ...], title: str | None, base_url: str, serve: bool, port: int, **options: Any
) -> None:
    """Build the static site: the finding of every cell, run by run, as pages that need no server.

    Open FOLDER/index.html, or put the folder on any static host. Stored observations are judged again. Only models of
    the table are shown, unless --include names another; the site does not contain paths of this machine.

    \b
    Examples:
      python -m matrix dashboard --out site/
      python -m matrix dashboard --out site/ --serve --port 8000
      python -m matrix dashboard --out site/ --base-url https://example.org/compatibility/
    """
    from matrix.outputs.dashboard.serve import serve as serve_site
    from matrix.outputs.dashboard.site import TITLE, SiteRequest, build

    if base_url and not base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {base_url}: write the whole URL, such as https://example.org/compatibility/")
    base = f"{base_url.rstrip('/')}/" if base_url else ""
    with open_store(**options) as (project, history):
        built = build(project, history, SiteRequest(out, include, title or TITLE, base))
    if built.left_out:
        say(f"left out: {built.left_out} cells of models that are not in the table; --include MODEL shows them")
    click.echo(
        f"{out}/index.html: {built.cells} cells of {built.runs} runs, {built.files} files, {built.bytes / 2**20:.1f} MB"
    )
    if serve:
        serve_site(out, port, click.echo)
