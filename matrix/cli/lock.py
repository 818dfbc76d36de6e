"""`lock`: resolve environments and write their locks."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import open_project, table_options


@click.command()
@click.argument("rows", nargs=-1)
@table_options
@click.option("--check", is_flag=True, help="Resolve nothing; exit 9 if a lock is missing or stale.")
@click.option("--again", is_flag=True, help="Resolve even what is current.")
def lock(rows: tuple[str, ...], check: bool, again: bool, **options: Any) -> None:
    """Resolve environments with uv and write their locks to envs/.

    ROWS are ids of rows (all if none is given). Only what is missing or stale is resolved. A row without a
    solution gets a lock that says so, with the resolver's explanation: that is a finding, not an error.
    """
    from matrix.environments.locks.keep import stale
    from matrix.environments.locks.request import all_requests

    project = open_project(**options)
    requests = project.requests(rows) if rows else all_requests(project.config)
    for message in project.read_locks().values():
        _say(message)
    outdated = requests if again else stale(requests, project.locks)
    made = project.refresh(outdated, _say, allowed=not check)
    known = {request.name for request in all_requests(project.config)}
    for name in project.locks.keys() - known:
        path = project.folders.committed / f"{name}.lock"
        if path.exists() and not rows:
            if not check:
                path.unlink()
            _say(f"{path}: belongs to no row any more" + ("" if check else "; removed"))
    click.echo(f"{len(made)} locked, {len(requests) - len(made)} were current")


def _say(text: str) -> None:
    click.echo(text, err=True)
