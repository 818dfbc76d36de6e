"""`compare`: do two runs say the same?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import make_session, store_option, table_options

if TYPE_CHECKING:
    from matrix.store import RunRecord


# A number counted from the end, -1, must not be taken for an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("one", type=int, required=False)
@click.argument("two", type=int, required=False)
@table_options
@store_option
@click.option("--common", is_flag=True, help="Only cells that both runs decided; others are listed, and count nothing.")
@click.option("--format", "format_", type=click.Choice(["table", "json", "md"]), default="table", show_default=True)
def compare(one: int | None, two: int | None, store: str | None, common: bool, format_: str, **options: Any) -> None:
    """Say whether two runs found the same: verdict, stage, reason and numbers of every cell.

    ONE and TWO are numbers of runs as `status` lists them, or counted from the newest: -1, -2. Without TWO, ONE is
    compared with the newest run; without both, the last two are compared. Both are judged by today's tolerances and
    signatures. Numbers are the arrays each run kept: those of run ONE are the reference.

    \b
    Ends with 0 where they are equal, 10 where they differ, and 7 where no difference was seen but some cells say
    nothing in one of the runs (infra, or unavailable in one of them).

    \b
    Examples:
      python -m matrix compare                 the last two runs
      python -m matrix compare 3 7 --common
    """
    import json

    from matrix.comparison import compare_runs
    from matrix.errors import Indeterminate, NothingSelected, RunsDiffer
    from matrix.results import Judge
    from matrix.views import comparison as view

    session = make_session(**options)
    config = session.config
    history = session.state.open_store(store)
    try:
        runs = _chosen(history.runs(), one, two)
        judge = Judge(config, history)
        first, second = (judge.cells(history.cells(run.id), session.locks, run.id) for run in runs)
        found = compare_runs(runs, (first, second), judge.compare, common)
        judge.keep()
    finally:
        history.close()
    if not found.pairs and (common or not any(found.lone)):
        raise NothingSelected(f"runs {runs[0].id} and {runs[1].id} have no cell in common; `status` lists all runs")
    match format_:
        case "json":
            from matrix.views.comparison_document import document

            click.echo(json.dumps(document(found), indent=1))
        case "md":
            click.echo(view.markdown(found))
        case _:
            click.echo(view.text(found))
    if found.answer == "different":
        raise RunsDiffer(f"{view.conclusion(found)}; `python -m matrix status --run N` shows one of them in full")
    if found.answer == "indeterminate":
        raise Indeterminate(view.conclusion(found))


def _chosen(runs: list[RunRecord], one: int | None, two: int | None) -> tuple[RunRecord, RunRecord]:
    """The runs meant, out of all, newest first."""
    from matrix.cli.runs import NOT_OF_CELLS
    from matrix.errors import NothingSelected, UsageError

    if len(runs) < 2:
        raise NothingSelected(f"two runs are needed, and there are {len(runs)}: python -m matrix run --again")

    def find(number: int) -> RunRecord:
        of_cells = [run for run in runs if run.tier not in NOT_OF_CELLS]
        for position, run in enumerate(of_cells, 1):
            if number == -position:
                return run
        for run in runs:
            if number == run.id:
                return run
        raise UsageError(f"there is no run {number}; `python -m matrix status` lists them")

    chosen = find(-2 if one is None else one), find(-1 if two is None else two)
    if chosen[0] == chosen[1]:
        raise UsageError(f"run {chosen[0].id} is compared with itself; name two runs")
    return chosen
