"""`import`: take in runs that another machine exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from matrix.cli.options import open_project, store_option, table_options


@click.command("import")
@click.argument("folders", metavar="DIR...", type=click.Path(path_type=Path), nargs=-1, required=True)
@table_options
@store_option
def import_(folders: tuple[Path, ...], store: str | None, **options: Any) -> None:
    """Take exports from DIR into the history: all of them, or nothing where one is damaged.

    What is there already stays as it is, so importing again changes nothing. Of a run that was executed in parts the
    parts are put together.
    """
    import contextlib

    from matrix.outputs.interchange.folder import Folder
    from matrix.outputs.interchange.incoming import Import
    from matrix.outputs.privacy import ExportCleaner

    project = open_project(**options)
    with project.state.held(), contextlib.closing(project.state.open_store(store)) as history:
        taken = Import(history, ExportCleaner.of(project.state.root, project.table, history)).take_in(
            [Folder(folder) for folder in folders]
        )
    click.echo(
        f"taken in: {taken.runs} runs, {taken.cells} cells, {taken.observations} observations, {taken.files} files"
        if taken
        else "nothing new"
    )
    if taken.lacking:
        click.echo(f"{taken.lacking} logs that observations speak of are in no export and not here", err=True)
