"""`import`: runs that another machine exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from matrix.cli.options import PATH, store_option, table_options
from matrix.cli.steps import open_project, say


@click.command("import")
@click.argument("folders", metavar="DIR...", type=PATH, nargs=-1, required=True)
@table_options
@store_option
def import_(folders: tuple[Path, ...], store: str | None, **options: Any) -> None:
    """Add exports from DIR to the history: all of them, or nothing if one is damaged.

    Stored runs are not changed, so importing again changes nothing. The parts of a run that was executed in parts are
    put together.
    """
    import contextlib

    from matrix.outputs.interchange.folder import Folder
    from matrix.outputs.interchange.incoming import Import
    from matrix.outputs.privacy import ExportCleaner

    project = open_project(**options)
    with project.state.held(), contextlib.closing(project.state.open_store(store)) as history:
        cleaner = ExportCleaner.of(project.state.root, project.table, history)
        taken = Import(history, cleaner).take_in([Folder(folder) for folder in folders])
    click.echo(
        f"imported {taken.runs} runs, {taken.cells} cells, {taken.observations} observations, {taken.files} files"
        if taken
        else "nothing new"
    )
    if taken.lacking:
        say(f"{taken.lacking} logs of observations are neither in an export nor stored here")
