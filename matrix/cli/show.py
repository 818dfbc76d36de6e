"""`show`: one cell in full, judged by today's rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.judging.cells import CellResult
    from matrix.store import Store
    from matrix.table.ids import CellId

# So many runs fit on a line.
_LISTED = 20


@click.command()
@click.argument("cell")
@table_options
@store_option
@click.option("--run", "number", type=int, help="As it came out in this run; default: the newest that decided it.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
@click.option("--lock", is_flag=True, help="Print the lock of its converter, or of the environment that was moved.")
def show(cell: str, store: str | None, number: int | None, format_: str, lock: bool, **options: Any) -> None:
    """Explain one cell: stage, reason, remedy, log, versions, how to reproduce it.

    CELL is the id a table prints, `model/exporter@opset/converter`; a part of it or a glob will do where only
    one cell fits.
    """
    import json
    import shlex

    from matrix.cli.chosen import like
    from matrix.core.errors import NothingSelected, UsageError
    from matrix.core.text import plain
    from matrix.judging.cells import Judge
    from matrix.outputs.documents.run import cell as cell_document
    from matrix.outputs.terminal.detail import print_detail
    from matrix.store.records import Observation
    from matrix.table.ids import CellId

    project = open_project(**options)
    config = project.config
    history = project.state.open_store(store)
    try:
        fitting = like(cell, history.cell_ids())
        if not fitting:
            raise NothingSelected(f"no run has decided a cell like {cell!r}; `python -m matrix status` lists runs")
        # A part of an id means the cell at its own time, unless it says more.
        own = [name for name in fitting if CellId.parse(name).moved is None]
        fitting = own if len(own) == 1 else fitting
        if len(fitting) > 1:
            raise UsageError(f"{cell!r} fits {len(fitting)} cells: " + ", ".join(fitting[:8]))
        past = history.history(fitting[0])
        chosen = next((item for item in past if number in (None, item[0])), None)
        if chosen is None:
            raise UsageError(f"run {number} did not decide {fitting[0]}; runs that did: {_numbers(past)}")
        run, records = chosen
        result = Judge(config, history).cells(records, project.locks, run)[0]
        if lock:
            click.echo(_lock_text(project, history, result, run), nl=False)
            return
        blamed = history.blames.newest(_of_now(CellId.parse(fitting[0])))
        if format_ == "json":
            stories = {record.cell: dict(record.story) for record in blamed.values()}
            click.echo(json.dumps({"schema": 1, "run": run, **cell_document(result), "blamed": stories}, indent=1))
            return

        def log(observation: Observation) -> str:
            # It may have been imported, as it was.
            return plain("".join(history.blobs.text(record.log) for record in observation.passes if record.log))

        def lock_of(name: str) -> Path | None:
            for folder in (project.folders.committed, project.folders.variants):
                if (folder / f"{name}.lock").exists():
                    return folder / f"{name}.lock"
            return None

        decided = history.run(run)
        # A search chose its cells itself; what asks for this one alone is another command.
        again = f"python -m matrix run --tier full --only converter={shlex.quote(result.record.converter)}"
        print_detail(result, log, lock_of, again if decided.tier == "blame" else decided.command)
        for record in blamed.values():
            of = "" if record.cell == fitting[0] else f" of {record.cell}"
            click.echo(f"\nblame{of} (run {record.run}, {record.created:%Y-%m-%d}): {record.story['answer']}")
        click.echo(f"\ndecided in {len(past)} run{'s' * (len(past) > 1)}, this is run {run} of {_numbers(past)}")
    finally:
        history.close()


def _of_now(cell: CellId) -> list[str]:
    """The cells of another time under which a blame of this cell may be stored."""
    return [str(cell)] if cell.moved is not None else [str(moved) for moved in cell.of_now()]


def _lock_text(project: Project, history: Store, result: CellResult, run: int) -> str:
    """Of the converter, or of the environment that is of another time. Raises UsageError where none is kept."""
    from matrix.core.errors import UsageError

    side = result.record.cell_id.moved or "converter"
    part = result.export if side == "exporter" else result.convert
    known = {**project.locks, **history.resolutions.of_run(run)}
    exporter, converter = project.environments_of(result.record)
    name = exporter if side == "exporter" else converter
    if part is None or name not in known:
        raise UsageError(f"{result.record.cell}: it never came to its {side}, or that has no lock any more")
    return known[name].text()


def _numbers(past: list[tuple[int, Any]]) -> str:
    """`12, 9, 8, …`."""
    return ", ".join(str(run) for run, _ in past[:_LISTED]) + (", …" if len(past) > _LISTED else "")
