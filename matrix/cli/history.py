"""`history prune`: remove duplicates from stored history."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import store_option, table_options
from matrix.cli.steps import open_store
from matrix.core.errors import UsageError


@click.group()
def history() -> None:
    """Prune stored history."""


@history.command()
@table_options
@store_option
@click.option(
    "--keep", metavar="AGE", default="30d", show_default=True, help="Keep younger runs as they are: 14d, 12h."
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
def prune(keep: str, dry_run: bool, **options: Any) -> None:
    """Remove duplicates from old runs.

    If a cell had the same finding in several runs, the observations of the first and the last are kept; the runs
    between show the same verdict, but their observations and files are removed. Changes are kept at any age.
    """
    import datetime as dt

    from matrix.app.old_environments import Keep
    from matrix.cli.clean import remove_unused_files
    from matrix.history.pruning import prune as prune_store
    from matrix.judging.cells import Judge

    age = Keep.parse([keep]).age
    if age is None:
        raise UsageError(f"--keep {keep}: history is kept by age, such as 30d; sizes are for `clean --keep`")
    before = dt.datetime.now(dt.UTC) - age
    with open_store(hold=True, **options) as (project, past):
        gone = prune_store(past, Judge(project.config, past), project.locks, before, not dry_run)
        verb = "would be " if dry_run else ""
        click.echo(
            f"{gone.runs} runs are older than {keep}: {gone.cells} cells {verb}folded into the runs before, "
            f"{gone.observations} observations {verb}removed"
        )
        remove_unused_files(past, dry_run)
