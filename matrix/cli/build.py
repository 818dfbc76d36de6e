"""`build`: environments without jobs."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, open_project, selection_options, table_options

if TYPE_CHECKING:
    from matrix.packages.lock import Lock


@click.command()
@click.argument("rows", nargs=-1)
@table_options
@selection_options
@engine_options
@click.option("--jobs", "-j", type=click.IntRange(1), help="Builds at once; default: the number of cores.")
@click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
def build(rows: tuple[str, ...], jobs: int | None, locked: bool, **options: Any) -> None:
    """Build the environments a run would need, or those of ROWS, which are ids as in the table."""
    from matrix.app.progress import PlainProgress
    from matrix.core.errors import Indeterminate
    from matrix.environments.engine import BuildFailed
    from matrix.execution.builds import Builds
    from matrix.judging.outcome import outcome

    project = open_project(**options)

    def say(text: str) -> None:
        click.echo(text, err=True)

    engine, why = project.engine()
    say(why)

    async def build_all(locks: list[Lock]) -> list[BuildFailed]:
        builds = Builds(engine, jobs or os.cpu_count() or 2, PlainProgress(lambda o: outcome(o, "")))
        try:
            done = await asyncio.gather(*(builds.get(lock) for lock in locks), return_exceptions=True)
        finally:
            await builds.close()
        for result in done:
            if isinstance(result, BaseException) and not isinstance(result, BuildFailed):
                raise result
        return [result for result in done if isinstance(result, BuildFailed)]

    with project.state.held():
        engine.recover()
        names = rows or project.environments(project.locked_plan(say, allowed=not locked))
        project.ensure_locks(rows, say, allowed=not locked)
        locks = [project.locks[name] for name in names if project.locks[name].outcome == "resolved"]
        engine.ready({lock.python for lock in locks})
        failed = asyncio.run(build_all(locks))
        for failure in failed:
            say(f"{failure.kind}: {failure.text.strip()}")
        click.echo(f"{len(locks) - len(failed)} of {len(names)} environments are there (engine {engine.name})")
        if len(locks) < len(names):
            click.echo(f"{len(names) - len(locks)} have no solution; their locks say why")
        if failed:
            raise Indeterminate(f"{len(failed)} environments could not be built; see above")
