"""`clean`: give disk back."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import engine_options, open_project, store_option, table_options


@click.command()
@table_options
@engine_options
@store_option
@click.option(
    "--all", "everything", is_flag=True, help="Also environments that are still current; they can be rebuilt."
)
@click.option(
    "--keep",
    metavar="HOW MUCH",
    multiple=True,
    help="Keep only current environments younger than an age (14d, 12h), or the newest that fit into a size (20GB). "
    "Repeatable.",
)
def clean(store: str | None, everything: bool, keep: tuple[str, ...], **options: Any) -> None:
    """Remove environments and files nothing needs any more.

    An environment goes if no current lock makes it, or if its build was not finished; a stored file goes if no
    observation names it. History stays. Without --engine that is done for virtual environments and, where an engine
    answers, for images; of its images and containers only those go that matrix made. Base images stay.
    """
    import contextlib
    import datetime as dt

    from matrix.app.retention import Keep, size, superfluous
    from matrix.core.errors import Indeterminate, UsageError
    from matrix.environments.engine import BuildFailed, Engine
    from matrix.families.converter_folder import remove_unused
    from matrix.table.ids import NOW, EnvironmentName

    try:
        kept = Keep.parse(keep)
    except ValueError as error:
        raise UsageError(f"--keep {error}") from error
    project = open_project(**options)
    _ = project.config

    def current(engine: Engine) -> set[str]:
        names = set()
        for lock in () if everything else (*project.locks.values(), *of_now):
            try:
                names.add(engine.identify(lock))
            except BuildFailed as failure:
                # Without its interpreter or base no environment of it can be current; a fault is another matter.
                if failure.kind == "infra":
                    raise Indeterminate(failure.text) from failure
        return names

    with project.state.held(), contextlib.closing(project.state.open_store(store)) as history:
        # The next run of now most likely resolves to what the last one did.
        names = [n for n in history.resolutions.names() if EnvironmentName.parse(n).row.time == NOW]
        of_now = [*history.resolutions.newest(names).values()]
        for engine in project.engines():
            engine.recover()
            there = engine.stored()
            gone = superfluous(there, current(engine), kept, dt.datetime.now(dt.UTC))
            engine.remove(stored.place for stored in gone)
            left = engine.stored() if gone else there
            freed = size(there) - size(left)
            stuck = [one.environment for one in gone if one in left]
            note = ", files shared with uv's cache counted once each" if engine.name == "venv" else ""
            click.echo(
                f"engine {engine.name}: removed {len(there) - len(left)} of {len(there)} environments "
                f"({freed / 2**20:.0f} MB{note})"
            )
            if stuck:
                click.echo(f"  in use, or part of a take-away image, so not removed: {', '.join(stuck)}")
        remove_unused(project.code, project.state.code)
        files = bytes_ = 0
        if history.blobs.users() == {history.name}:
            files, bytes_ = history.blobs.collect(history.blobs_named())
        else:
            click.echo("stored files are kept: more than one --store has used this state folder", err=True)
    click.echo(f"removed {files} stored files ({bytes_ / 2**20:.0f} MB)")
