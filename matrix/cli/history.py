"""`history prune`: keep changes for ever, and duplicates for a while."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import open_project, store_option, table_options


@click.group()
def history() -> None:
    """Keep changes for ever, and duplicates for a while."""


@history.command()
@table_options
@store_option
@click.option(
    "--keep", metavar="AGE", default="30d", show_default=True, help="Leave younger runs as they are: 14d, 12h."
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and leave it.")
def prune(store: str | None, keep: str, dry_run: bool, **options: Any) -> None:
    """Take out of old runs what says nothing new.

    Of a cell that came to the same again and again the first and the last time stay with all that was observed; the
    runs between show the same verdict, and their observations and files go. No change goes, whatever its age.
    """
    import contextlib
    import datetime as dt

    from matrix.app.retention import Keep
    from matrix.core.errors import UsageError
    from matrix.judging.cells import Judge
    from matrix.outputs.interchange.pruning import prune as prune_store

    try:
        age = Keep.parse([keep]).age
    except ValueError as error:
        raise UsageError(f"--keep {error}") from error
    if age is None:
        raise UsageError(f"--keep {keep}: history is kept by age, such as 30d; `clean --keep` knows sizes")
    project = open_project(**options)
    judge_by = project.config
    before = dt.datetime.now(dt.UTC) - age
    with project.state.held(), contextlib.closing(project.state.open_store(store)) as past:
        gone = prune_store(past, Judge(judge_by, past), project.locks, before, not dry_run)
        files = size = 0
        shared = past.blobs.users() != {past.name}
        if not dry_run and not shared:
            files, size = past.blobs.collect(past.blobs_named())
    verb = "would be " if dry_run else ""
    click.echo(
        f"{gone.runs} runs are older than {keep}: {gone.cells} cells {verb}folded into the runs before, "
        f"{gone.observations} observations {verb}removed"
    )
    if shared:
        click.echo("stored files are kept: more than one --store has used this state folder", err=True)
    elif not dry_run:
        click.echo(f"removed {files} stored files ({size / 2**20:.0f} MB)")
