"""`compare`: two runs, or one run and the last matches of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import format_option, store_option, table_options
from matrix.cli.steps import open_store, print_as
from matrix.core.errors import Indeterminate, NothingSelected, Regressed, RunsDiffer, UsageError

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.store import RunRecord, Store


# A number counted from the end, -1, must not be taken for an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("one", type=int, required=False)
@click.argument("two", type=int, required=False)
@table_options
@store_option
@click.option("--common", is_flag=True, help="Compare only cells that both runs decided; list the others.")
@click.option("--last-good", is_flag=True,
              help="Compare run ONE, or the newest, with the last run in which each of its cells matched.")  # fmt: skip
@click.option("--fail-on", type=click.Choice(["difference", "regression", "new"]),
              help="What exits with a code other than 0: any difference (default for two runs), a cell that matched "
                   "before (default for --last-good), or one that broke in this very run (--last-good).")  # fmt: skip
@format_option("table", "json", "md")
def compare(
    one: int | None,
    two: int | None,
    common: bool,
    last_good: bool,
    fail_on: str | None,
    format_: str,
    **options: Any,
) -> None:
    """Compare two runs: verdict, stage, reason and numbers of every cell, and why they differ.

    ONE and TWO are numbers of runs as `status` lists them, or counted from the newest: -1, -2. Without TWO, ONE is
    compared with the newest run; without both, the last two are compared. Both are judged by today's tolerances and
    signatures. Numbers are the arrays each run kept: those of run ONE are the reference.

    \b
    Exits with 0 if they are equal, 18 if a cell that matched in ONE no longer does, 10 if they differ in another
    way, and 7 if no difference was seen but some cells are indeterminate in one of the runs (infra, or
    unavailable in one of them). What could not be measured is never a regression.

    \b
    Examples:
      python -m matrix compare                           the last two runs
      python -m matrix compare 3 7 --common
      python -m matrix compare 3 7 --fail-on regression  for CI: only what broke counts
      python -m matrix compare --last-good               what matched once and is broken, since when, and why
    """
    if last_good and (two is not None or common):
        raise UsageError("--last-good chooses the other run for each cell: name one run, without --common")
    if last_good and fail_on == "difference":
        raise UsageError("--last-good looks for cells that matched once: use --fail-on regression, or new")
    if not last_good and fail_on == "new":
        raise UsageError("--fail-on new needs --last-good; between two runs, everything that broke is new")
    with open_store(**options) as (project, history):
        if last_good:
            _since_good(project, history, one, format_, only_new=fail_on == "new")
        else:
            _two_runs(project, history, (one, two), common, format_, only_broken=fail_on == "regression")


def _two_runs(
    project: Project,
    history: Store,
    numbers: tuple[int | None, int | None],
    common: bool,
    format_: str,
    only_broken: bool,
) -> None:
    """Print how two runs differ. Raises NothingSelected, Regressed, RunsDiffer and Indeterminate."""
    from matrix.history.comparison import compare_runs
    from matrix.judging.cells import Judge
    from matrix.outputs.documents.comparison import conclusion, document
    from matrix.outputs.terminal import comparison as view

    runs = _chosen(history.runs(), *numbers)
    judge = Judge(project.config, history)
    first, second = (judge.cells(history.cells(run.id), project.locks, run.id) for run in runs)
    found = compare_runs(runs, (first, second), judge.compare, common)
    judge.keep()
    if not found.pairs and (common or not any(found.lone)):
        raise NothingSelected(f"runs {runs[0].id} and {runs[1].id} have no cell in common; `status` lists all runs")
    print_as(format_, found, json=document, md=view.markdown, table=view.text)
    if found.regressed:
        raise Regressed(f"{conclusion(found)}; `python -m matrix show CELL` explains one")
    if only_broken:
        return
    if found.answer == "different":
        raise RunsDiffer(f"{conclusion(found)}; `python -m matrix status --run N` shows one of them in full")
    if found.answer == "indeterminate":
        raise Indeterminate(conclusion(found))


def _since_good(project: Project, store: Store, number: int | None, format_: str, only_new: bool) -> None:
    """Print which cells of a run matched before and are broken. Raises NothingSelected, UsageError and Regressed."""
    from matrix.history import read_history
    from matrix.history.since_good import since_good
    from matrix.judging.cells import Judge
    from matrix.outputs.terminal import since_good as view

    whole = read_history(store, Judge(project.config, store), project.locks)
    if not whole.runs:
        raise NothingSelected("no run has decided a cell yet: python -m matrix run")
    position = len(whole.runs) - 1
    if number is not None:
        by_number = {run.id: place for place, run in enumerate(whole.runs)}
        position = by_number.get(number, len(whole.runs) + number if -len(whole.runs) <= number < 0 else -1)
        if position < 0:
            raise UsageError(f"there is no run {number} that decided cells; `python -m matrix status` lists them")
    since = since_good(store, whole, position)
    print_as(format_, since, json=view.document, md=view.markdown, table=view.text)
    if since.new if only_new else since.regressions:
        raise Regressed(f"{view.conclusion(since)}; `python -m matrix show CELL` explains one")


def _chosen(runs: list[RunRecord], one: int | None, two: int | None) -> tuple[RunRecord, RunRecord]:
    """Return the two runs to compare, of all, newest first. Raises NothingSelected and UsageError."""
    from matrix.store.records import NOT_OF_CELLS

    if len(runs) < 2:
        raise NothingSelected(f"two runs are needed, and there are {len(runs)}: python -m matrix run --again")
    known = {run.id: run for run in runs}
    known |= {-place: run for place, run in enumerate((run for run in runs if run.tier not in NOT_OF_CELLS), 1)}
    numbers = (-2 if one is None else one, -1 if two is None else two)
    if unknown := [number for number in numbers if number not in known]:
        raise UsageError(f"there is no run {unknown[0]}; `python -m matrix status` lists them")
    first, second = (known[number] for number in numbers)
    if first == second:
        raise UsageError(f"run {first.id} is compared with itself; name two runs")
    return first, second
