"""`build`: environments without jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, jobs_option, locked_option, selection_options, table_options
from matrix.cli.steps import open_project, say
from matrix.core.errors import Indeterminate
from matrix.core.processes import available_cores

if TYPE_CHECKING:
    from matrix.environments.engine import BuildFailed, Engine
    from matrix.packages.lock import Lock


@click.command()
@click.argument("rows", nargs=-1)
@table_options
@selection_options
@engine_options
@jobs_option
@locked_option
def build(rows: tuple[str, ...], jobs: int | None, locked: bool, **options: Any) -> None:
    """Build the environments that a run would need, or those of ROWS, which are ids of the table."""
    project = open_project(**options)
    engine, why = project.engine()
    say(why)
    with project.state.held():
        engine.recover()
        names = rows or project.environments(project.locked_plan(say, allowed=not locked))
        project.ensure_locks(rows, say, allowed=not locked)
        locks = [project.locks[name] for name in names if project.locks[name].outcome == "resolved"]
        engine.ready({lock.python for lock in locks})
        failed = asyncio.run(_build_all(engine, locks, jobs or available_cores()))
    for failure in failed:
        say(f"{failure.kind}: {failure.text.strip()}")
    click.echo(f"{len(locks) - len(failed)} of {len(names)} environments are ready (engine {engine.name})")
    if len(locks) < len(names):
        click.echo(f"{len(names) - len(locks)} have no solution; see their locks for the reasons")
    if failed:
        raise Indeterminate(f"{len(failed)} environments could not be built; see above")


async def _build_all(engine: Engine, locks: list[Lock], jobs: int) -> list[BuildFailed]:
    """Build environments; return the builds that failed. Raises the first other error of a build."""
    from matrix.app.progress import PlainProgress
    from matrix.environments.engine import BuildFailed
    from matrix.execution.builds import Builds
    from matrix.judging.outcome import outcome

    builds = Builds(engine, jobs, PlainProgress(lambda observation: outcome(observation, "")))
    try:
        done = await asyncio.gather(*(builds.get(lock) for lock in locks), return_exceptions=True)
    finally:
        await builds.close()
    for result in done:
        if isinstance(result, BaseException) and not isinstance(result, BuildFailed):
            raise result
    return [result for result in done if isinstance(result, BuildFailed)]
