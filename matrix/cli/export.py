"""`export`: runs as plain files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import PATH, include_option, store_option, table_options
from matrix.cli.steps import open_store, say
from matrix.core.errors import StateInUse, UsageError

if TYPE_CHECKING:
    from matrix.store import Store


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
@table_options
@store_option
@click.option("--run", "runs", metavar="RUN", multiple=True,
              help="Only this run, by number or by the name that `run --run-id` gave it. Repeatable; default: all "
                   "that ended.")  # fmt: skip
@include_option
@click.option("--arrays", is_flag=True, help="Include the arrays, which only other tolerances and pictures need.")
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts of the cells, to be merged again.")
def export(
    folder: Path, runs: tuple[str, ...], include: tuple[str, ...], arrays: bool, shard: str | None, **options: Any
) -> None:
    """Write runs to plain files in DIR, for another machine or a data branch.

    The same history gives the same bytes. An existing export is replaced as a whole. Cells of models that are not in
    the table are left out, and so are all models, weights and sources.

    \b
    Examples:
      python -m matrix export history/
      python -m matrix export history/ --run 12 --include mynet
    """
    import contextlib

    from matrix.outputs.interchange.folder import writing
    from matrix.outputs.interchange.outgoing import Export, ExportSelection
    from matrix.outputs.privacy import ExportCleaner, Public
    from matrix.planning.shards import shard_named

    part = shard_named(shard) if shard else None
    with open_store(**options) as (project, history):
        stated = frozenset(model.id for model in project.stated.models)
        if any(run.status == "running" for run in history.runs()):
            # If no driver is at work, a killed one left it: export what that had found.
            with contextlib.suppress(StateInUse), project.state.held():
                history.close_left(project.state.mark)
        wanted = ExportSelection(_numbers(history, runs), part, arrays)
        with history.reading() as reader:
            known = stated.union(reader.models())
        if unknown := [name for name in include if name not in known]:
            raise UsageError(f"--include {unknown[0]}: no run has a cell of this model")
        cleaner = ExportCleaner.of(project.state.root, project.table, history)
        with writing(folder) as out:
            sent = Export(history, project.stated, Public(stated, include), cleaner, wanted).write(out)
    for number in sent.open:
        say(f"run {number} has not ended and was left out")
    if sent.kept_back:
        say(
            f"left out: {sent.kept_back} cells of models that are not in the table ({', '.join(sorted(sent.models))}); "
            "--include MODEL exports them"
        )
    click.echo(f"{folder}: {sent.runs} runs, {sent.cells} cells, {sent.observations} observations")


def _numbers(history: Store, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the numbers of runs by name or number. Raises UsageError for an unknown one."""
    runs = history.runs()
    known = {str(run.id): run.id for run in runs} | {run.uid: run.id for run in runs}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no run {unknown[0]}; `python -m matrix status` lists them")
    return tuple(known[name] for name in names)
