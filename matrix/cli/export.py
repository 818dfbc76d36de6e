"""`export`: runs as plain files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.store import Store


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@table_options
@store_option
@click.option(
    "--run",
    "runs",
    metavar="RUN",
    multiple=True,
    help="Only this run, by number or by the name that `run --run-id` gave it. Repeatable; default: all that ended.",
)
@click.option(
    "--include",
    metavar="NAME",
    multiple=True,
    help="Let cells of a model go that the table does not declare. Repeatable.",
)
@click.option("--arrays", is_flag=True, help="With the arrays, which only another tolerance or a picture needs.")
@click.option("--shard", metavar="I/N", help="Only the I-th of N parts of the cells, to be merged again.")
def export(
    folder: Path,
    store: str | None,
    runs: tuple[str, ...],
    include: tuple[str, ...],
    arrays: bool,
    shard: str | None,
    **options: Any,
) -> None:
    """Write runs as plain files to DIR, for another machine or a data branch.

    The same history gives the same bytes. An export that is there is replaced as a whole. Cells of models that the
    table does not declare stay here, and so do models, weights and sources.

    \b
    Examples:
      python -m matrix export history/
      python -m matrix export history/ --run 12 --include mynet
    """
    import contextlib

    from matrix.core.errors import StateInUse, UsageError
    from matrix.outputs.interchange.folder import writing
    from matrix.outputs.interchange.outgoing import Export, ExportSelection
    from matrix.outputs.privacy import ExportCleaner, Public
    from matrix.planning.shards import shard_named

    part = shard_named(shard) if shard else None
    project = open_project(**options)
    public = Public((model.id for model in project.stated.models), include)
    with contextlib.closing(project.state.open_store(store)) as history:
        if any(run.status == "running" for run in history.runs()):
            # Where nobody is at work, it is what a killed driver left: what that had found goes along.
            with contextlib.suppress(StateInUse), project.state.held():
                history.close_left(project.state.mark)
        wanted = ExportSelection(_numbers(history, runs), part, arrays)
        with history.exchange.reading() as reader:
            known = {*reader.models(), *(model.id for model in project.stated.models)}
        if strange := [name for name in include if name not in known]:
            raise UsageError(f"--include {strange[0]}: no run has a cell of such a model")
        with writing(folder) as out:
            cleaner = ExportCleaner.of(project.state.root, project.table, history)
            sent = Export(history, project.stated, public, cleaner, wanted).write(out)
    for number in sent.open:
        click.echo(f"run {number} is still under way and was left out", err=True)
    if sent.kept_back:
        click.echo(
            f"left out: {sent.kept_back} cells of models that the table does not declare "
            f"({', '.join(sorted(sent.models))}); --include NAME lets one go",
            err=True,
        )
    click.echo(f"{folder}: {sent.runs} runs, {sent.cells} cells, {sent.observations} observations")


def _numbers(history: Store, names: tuple[str, ...]) -> tuple[int, ...]:
    """The runs that are called so, or have this number. Raises UsageError."""
    from matrix.core.errors import UsageError

    known = {str(run.id): run.id for run in history.runs()} | {run.uid: run.id for run in history.runs()}
    if strange := [name for name in names if name not in known]:
        raise UsageError(f"there is no run {strange[0]}; `python -m matrix status` lists them")
    return tuple(known[name] for name in names)
