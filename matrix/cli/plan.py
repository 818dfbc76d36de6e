"""`plan`: what a run would do."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import format_option, selection_options, table_options
from matrix.cli.steps import open_project, print_as


@click.command()
@table_options
@selection_options
@format_option("summary", "cells", "json")
def plan(format_: str, **options: Any) -> None:
    """Show what a run would do, without running anything.

    The same table and locks give byte-identical output.
    """
    from matrix.families import family_of

    project = open_project(**options)
    chosen = project.plan()
    facts = {name: _lock_facts(project.locks.get(name)) for name in project.environments(chosen)}

    def document() -> dict[str, Any]:
        return {
            "schema": 1,
            "tier": chosen.tier,
            "environments": [{"name": name, **known} for name, known in facts.items()],
            "cells": [cell.id for cell in chosen.cells],
            "notes": list(chosen.notes),
        }

    def summary() -> str:
        files = (cell for cell in chosen.cells if family_of(cell.converter).source == "onnx")
        exports = {(cell.model.id, cell.exporter.id, cell.opset) for cell in files}
        return "\n".join(
            [
                f"tier {chosen.tier}: {len(chosen.cells)} cells, {len(exports)} exports, {len(facts)} environments",
                *(
                    f"  {name}: {', '.join(f'{key} {value}' for key, value in known.items())}"
                    for name, known in facts.items()
                ),
                *(f"note: {note}" for note in chosen.notes),
            ]
        )

    print_as(format_, json=document, cells=lambda: "\n".join(cell.id for cell in chosen.cells), summary=summary)


def _lock_facts(lock: Any) -> dict[str, str]:
    if lock is None:
        return {"lock": "none yet"}
    return {"python": lock.python, "as_of": lock.as_of.isoformat(), "lock": lock.outcome}
