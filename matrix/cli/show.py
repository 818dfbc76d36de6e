"""`show`: one cell in full, judged by today's rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import format_option, store_option, table_options
from matrix.cli.steps import open_store, print_as
from matrix.core.errors import NothingSelected, UsageError

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
@click.option("--run", "number", type=int, help="The cell as of this run; default: the newest that decided it.")
@format_option("text", "json")
@click.option("--lock", is_flag=True,
              help="Print the lock of its converter, or of the environment of another time.")  # fmt: skip
def show(cell: str, number: int | None, format_: str, lock: bool, **options: Any) -> None:
    """Show one cell: stage, reason, remedy, log, versions, how to reproduce it.

    CELL is the id a table prints, `model/exporter@opset/converter`, or a part of it or a glob if only one cell fits.
    """
    import shlex

    from matrix.cli.chosen import like, only
    from matrix.core.text import plain
    from matrix.judging.cells import Judge
    from matrix.outputs.documents.run import cell as cell_document
    from matrix.outputs.terminal.detail import print_detail
    from matrix.store.records import Observation
    from matrix.table.ids import CellId

    with open_store(**options) as (project, history):
        fitting = like(cell, history.cell_ids())
        if not fitting:
            raise NothingSelected(f"no run has decided a cell like {cell!r}; `python -m matrix status` lists runs")
        # A part of an id means the cell at its own time, unless it says more.
        own = [name for name in fitting if CellId.parse(name).moved is None]
        name = only(cell, own if len(own) == 1 else fitting)
        past = history.history(name)
        chosen = next((item for item in past if number in (None, item[0])), None)
        if chosen is None:
            raise UsageError(f"run {number} did not decide {name}; runs that did: {_numbers(past)}")
        run, records = chosen
        result = Judge(project.config, history).cells(records, project.locks, run)[0]
        if lock:
            click.echo(_lock_text(project, history, result, run), nl=False)
            return
        blamed = history.blames.newest(_of_now(CellId.parse(name)))

        def document() -> dict[str, Any]:
            stories = {record.cell: dict(record.story) for record in blamed.values()}
            return {"schema": 1, "run": run, **cell_document(result), "blamed": stories}

        def log(observation: Observation) -> str:
            # An imported log is not cleaned yet.
            return plain("".join(history.blobs.text(record.log) for record in observation.passes if record.log))

        def lock_of(environment: str) -> Path | None:
            folders = (project.folders.committed, project.folders.variants)
            paths = (folder / f"{environment}.lock" for folder in folders)
            return next((path for path in paths if path.exists()), None)

        def text() -> str:
            decided = history.run(run)
            # The cells of a search are its own; this command runs the cell alone.
            again = f"python -m matrix run --tier full --only converter={shlex.quote(result.record.converter)}"
            print_detail(result, log, lock_of, again if decided.tier == "blame" else decided.command)
            lines = [
                f"\nblame{'' if record.cell == name else f' of {record.cell}'} (run {record.run}, "
                f"{record.created:%Y-%m-%d}): {record.story['answer']}"
                for record in blamed.values()
            ]
            runs = f"decided in {len(past)} run{'s' * (len(past) > 1)}, this is run {run} of {_numbers(past)}"
            return "\n".join([*lines, f"\n{runs}"])

        print_as(format_, json=document, text=text)


def _of_now(cell: CellId) -> list[str]:
    """Return the cells of another time under which a blame of this cell may be stored."""
    return [str(cell)] if cell.moved is not None else [str(moved) for moved in cell.of_now()]


def _lock_text(project: Project, history: Store, result: CellResult, run: int) -> str:
    """Return the lock of the converter, or of the environment of another time. Raises UsageError if there is none."""
    side = result.record.cell_id.moved or "converter"
    part = result.export if side == "exporter" else result.convert
    known = {**project.locks, **history.resolutions.of_run(run)}
    exporter, converter = project.environments_of(result.record)
    name = exporter if side == "exporter" else converter
    if part is None or name not in known:
        raise UsageError(f"{result.record.cell}: its {side} was not reached, or its lock was removed")
    return known[name].text()


def _numbers(past: list[tuple[int, Any]]) -> str:
    """Return the numbers of runs, as `12, 9, 8, …`."""
    return ", ".join(str(run) for run, _ in past[:_LISTED]) + (", …" if len(past) > _LISTED else "")
