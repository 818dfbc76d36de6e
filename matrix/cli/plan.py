"""`plan` and `schema`: what is known without running anything."""

from __future__ import annotations

import json
from typing import Any

import click

from matrix.cli.options import make_session, selection_options, table_options


@click.command()
@table_options
@selection_options
@click.option(
    "--format", "format_", type=click.Choice(["summary", "cells", "json"]), default="summary", show_default=True
)
def plan(format_: str, **options: Any) -> None:
    """Show what a run would do, without doing it.

    The same table and locks give the same output to the last byte.
    """
    from matrix.families import family_of

    session = make_session(**options)
    chosen = session.plan()
    if format_ == "cells":
        click.echo("\n".join(cell.id for cell in chosen.cells))
        return
    environments = session.environments(chosen)
    exports = {
        (cell.model.id, cell.exporter.id, cell.opset)
        for cell in chosen.cells
        if family_of(cell.converter).source == "onnx"
    }
    if format_ == "json":
        document = {
            "schema": 1,
            "tier": chosen.tier,
            "environments": [{"name": name, **_lock_facts(session.locks.get(name))} for name in environments],
            "cells": [cell.id for cell in chosen.cells],
            "notes": list(chosen.notes),
        }
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(
        f"tier {chosen.tier}: {len(chosen.cells)} cells, {len(exports)} exports, {len(environments)} environments"
    )
    for name in environments:
        facts = _lock_facts(session.locks.get(name))
        click.echo(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    for note in chosen.notes:
        click.echo(f"note: {note}")


def _lock_facts(lock: Any) -> dict[str, str]:
    if lock is None:
        return {"lock": "none yet"}
    return {"python": lock.python, "as_of": lock.as_of.isoformat(), "lock": lock.outcome}


@click.command()
@click.option("--check", type=click.Path(dir_okay=False), help="Compare with this file instead; exit 3 if it differs.")
def schema(check: str | None) -> None:
    """Print the JSON Schema of matrix.yml, made from the model that reads it."""
    from pathlib import Path

    from matrix.core.errors import ConfigError
    from matrix.table.schema import json_schema

    text = json_schema()
    if check is None:
        click.echo(text, nl=False)
    elif not Path(check).is_file() or Path(check).read_text(encoding="utf-8") != text:
        raise ConfigError(f"{check}: not current; run: python -m matrix schema > {check}")
