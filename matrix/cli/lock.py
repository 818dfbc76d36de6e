"""`lock`: resolve environments and write their locks."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import table_options
from matrix.cli.steps import open_project, say


@click.command()
@click.argument("rows", nargs=-1)
@table_options
@click.option("--check", is_flag=True, help="Resolve nothing; exit 9 if a lock is missing or stale.")
@click.option("--again", is_flag=True, help="Resolve also what is current.")
def lock(rows: tuple[str, ...], check: bool, again: bool, **options: Any) -> None:
    """Resolve environments with uv and write their locks to envs/.

    ROWS are ids of rows; without one, all rows are meant. Only missing and stale locks are resolved. A row without a
    solution gets a lock with the resolver's explanation: that is a finding, not an error.
    """
    from matrix.environments.locks.keep import stale
    from matrix.environments.locks.request import all_requests

    project = open_project(**options)
    everything = all_requests(project.config)
    requests = project.requests(rows) if rows else everything
    for message in project.read_locks().values():
        say(message)
    made = project.refresh(requests if again else stale(requests, project.locks), say, allowed=not check)
    for name in project.locks.keys() - {request.name for request in everything}:
        path = project.folders.committed / f"{name}.lock"
        if path.exists() and not rows:
            if not check:
                path.unlink()
            say(f"{path}: no row has this name{'' if check else '; removed'}")
    click.echo(f"{len(made)} locked, {len(requests) - len(made)} were current")
