"""`merge`: unite exports of several machines."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folders", metavar="DIR...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), required=True, help="Where the whole goes.")
def merge(folders: tuple[Path, ...], out: Path) -> None:
    """Put exports together into one, without any store. Their order does not matter.

    \b
    Example:
      python -m matrix merge shard-1/ shard-2/ --out history/
    """
    from matrix.outputs.interchange.outgoing import merge as put_together

    sent = put_together(folders, out)
    click.echo(f"{out}: {sent.runs} runs, {sent.cells} cells, {sent.observations} observations")
