"""`plan` and `schema`: what is known without running anything."""

from __future__ import annotations

import json
from typing import Any

import click

from matrix.cli.options import open_project, selection_options, table_options


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

    project = open_project(**options)
    chosen = project.plan()
    if format_ == "cells":
        click.echo("\n".join(cell.id for cell in chosen.cells))
        return
    environments = project.environments(chosen)
    exports = {
        (cell.model.id, cell.exporter.id, cell.opset)
        for cell in chosen.cells
        if family_of(cell.converter).source == "onnx"
    }
    if format_ == "json":
        document = {
            "schema": 1,
            "tier": chosen.tier,
            "environments": [{"name": name, **_lock_facts(project.locks.get(name))} for name in environments],
            "cells": [cell.id for cell in chosen.cells],
            "notes": list(chosen.notes),
        }
        click.echo(json.dumps(document, indent=1))
        return
    click.echo(
        f"tier {chosen.tier}: {len(chosen.cells)} cells, {len(exports)} exports, {len(environments)} environments"
    )
    for name in environments:
        facts = _lock_facts(project.locks.get(name))
        click.echo(f"  {name}: " + ", ".join(f"{key} {value}" for key, value in facts.items()))
    for note in chosen.notes:
        click.echo(f"note: {note}")


def _lock_facts(lock: Any) -> dict[str, str]:
    if lock is None:
        return {"lock": "none yet"}
    return {"python": lock.python, "as_of": lock.as_of.isoformat(), "lock": lock.outcome}
