"""`merge`: the exports of several machines as one."""

from __future__ import annotations

from pathlib import Path

import click

from matrix.cli.options import PATH


@click.command()
@click.argument("folders", metavar="DIR...", type=PATH, nargs=-1, required=True)
@click.option("--out", metavar="DIR", type=PATH, required=True, help="Where to write the merged export.")
def merge(folders: tuple[Path, ...], out: Path) -> None:
    """Merge exports into one, without a store. Their order does not matter.

    \b
    Example:
      python -m matrix merge shard-1/ shard-2/ --out history/
    """
    from matrix.outputs.interchange.outgoing import merge as merge_exports

    sent = merge_exports(folders, out)
    click.echo(f"{out}: {sent.runs} runs, {sent.cells} cells, {sent.observations} observations")
