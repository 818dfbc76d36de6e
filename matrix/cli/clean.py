"""`clean`: free disk space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, store_option, table_options
from matrix.cli.steps import open_store, say
from matrix.core.errors import Indeterminate

if TYPE_CHECKING:
    from matrix.environments.engine import Engine
    from matrix.packages.lock import Lock
    from matrix.store import Store


@click.command()
@table_options
@engine_options
@store_option
@click.option("--all", "everything", is_flag=True, help="Remove current environments too; they can be rebuilt.")
@click.option("--keep", metavar="HOW MUCH", multiple=True,
              help="Keep only current environments younger than an age (14d, 12h), or the newest that fit into a size "
                   "(20GB). Repeatable.")  # fmt: skip
def clean(everything: bool, keep: tuple[str, ...], **options: Any) -> None:
    """Remove environments and files that are no longer needed.

    An environment is removed if no current lock makes it, or if its build was not finished; a stored file is removed
    if no observation names it. History stays. Without --engine, virtual environments are cleaned and, if an engine is
    running, images; only images and containers made by matrix are removed. Base images stay.
    """
    import datetime as dt

    from matrix.app.old_environments import Keep, size, superfluous
    from matrix.families.converter_folder import remove_unused
    from matrix.table.ids import NOW, EnvironmentName

    kept = Keep.parse(keep)
    with open_store(hold=True, **options) as (project, history):
        # The next run of now most likely resolves to the same as the last one.
        names = [name for name in history.resolutions.names() if EnvironmentName.parse(name).row.time == NOW]
        locks = [] if everything else [*project.locks.values(), *history.resolutions.newest(names).values()]
        for engine in project.engines():
            engine.recover()
            there = engine.stored()
            gone = superfluous(there, _current(engine, locks), kept, dt.datetime.now(dt.UTC))
            engine.remove(stored.place for stored in gone)
            left = engine.stored() if gone else there
            note = ", files shared with uv's cache counted once each" if engine.name == "venv" else ""
            click.echo(
                f"engine {engine.name}: removed {len(there) - len(left)} of {len(there)} environments "
                f"({(size(there) - size(left)) / 2**20:.0f} MB{note})"
            )
            if stuck := [one.environment for one in gone if one in left]:
                click.echo(f"  not removed, in use or part of a take-away image: {', '.join(stuck)}")
        remove_unused(project.code, project.state.code)
        remove_unused_files(history)


def _current(engine: Engine, locks: list[Lock]) -> set[str]:
    """Return the ids of the environments that these locks make. Raises Indeterminate for a fault of the engine."""
    from matrix.environments.engine import BuildFailed

    names = set()
    for lock in locks:
        try:
            names.add(engine.identify(lock))
        except BuildFailed as failure:
            # Without its interpreter or base image, no environment of the lock can be current.
            if failure.kind == "infra":
                raise Indeterminate(failure.text) from failure
    return names


def remove_unused_files(history: Store, dry_run: bool = False) -> None:
    """Remove the stored files that no observation names, unless another store uses the folder; print how many."""
    if history.blobs.users() != {history.name}:
        say("stored files are kept: more than one --store has used this state folder")
    elif not dry_run:
        files, size = history.blobs.collect(history.blobs_named())
        click.echo(f"removed {files} stored files ({size / 2**20:.0f} MB)")
