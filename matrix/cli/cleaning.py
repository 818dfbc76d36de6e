"""`clean`: give disk back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from matrix.cli.options import make_session, store_option, table_options


@click.command()
@table_options
@store_option
@click.option(
    "--all", "everything", is_flag=True, help="Also environments that are still current; they can be rebuilt."
)
def clean(store: str | None, everything: bool, **options: Any) -> None:
    """Remove environments and files nothing needs any more.

    An environment goes if no current lock makes it, or if its build was not finished; a stored file goes if no
    observation names it. History stays.
    """
    from matrix.driver import open_store
    from matrix.environments.engine import BuildFailed
    from matrix.environments.stamp import read_stamp
    from matrix.environments.venv import VenvEngine
    from matrix.paths import CONVERTER

    session = make_session(**options)
    _ = session.config
    with session.state.held():
        engine = VenvEngine(session.state.environments, session.settings, CONVERTER)
        current: set[Path] = set()
        for lock in session.locks.values():
            try:
                current.add(engine.folder(engine.identify(lock)))
            except BuildFailed:
                continue
        freed = removed = 0
        for folder in sorted(session.state.environments.glob("*")):
            if everything or folder not in current or read_stamp(folder) is None:
                freed += _size(folder)
                removed += 1
                shutil.rmtree(folder)
        history = open_store(session, store)
        files = bytes_ = 0
        try:
            if history.blobs.users() == {history.name}:
                files, bytes_ = history.blobs.collect(history.blobs_named())
            else:
                click.echo("stored files are kept: more than one --store has used this state folder", err=True)
        finally:
            history.close()
    click.echo(
        f"removed {removed} environments ({freed / 2**20:.0f} MB, files shared with uv's cache counted once each) "
        f"and {files} stored files ({bytes_ / 2**20:.0f} MB)"
    )


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
