"""`schema`: the JSON Schema of matrix.yml."""

from __future__ import annotations

import click

from matrix.core.errors import ConfigError


@click.command()
@click.option(
    "--check", type=click.Path(dir_okay=False), help="Compare it with this file instead; exit 3 if they differ."
)
def schema(check: str | None) -> None:
    """Print the JSON Schema of matrix.yml, generated from the model that reads it."""
    from pathlib import Path

    from matrix.table.model import json_schema

    text = json_schema()
    if check is None:
        click.echo(text, nl=False)
    elif not Path(check).is_file() or Path(check).read_text(encoding="utf-8") != text:
        raise ConfigError(f"{check}: not up to date; run: python -m matrix schema > {check}")
