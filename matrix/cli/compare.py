"""`compare`: do two runs say the same, and does everything still work that once did?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.store import RunRecord, Store


# A number counted from the end, -1, must not be taken for an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("one", type=int, required=False)
@click.argument("two", type=int, required=False)
@table_options
@store_option
@click.option("--common", is_flag=True, help="Only cells that both runs decided; others are listed, and count nothing.")
@click.option(
    "--last-good",
    is_flag=True,
    help="Run ONE, or the newest, against the last run in which each of its cells matched.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["difference", "regression", "new"]),
    help="What ends with a code other than 0: any difference (default of two runs), a cell that matched before "
    "(default of --last-good), or one that broke in this very run (--last-good).",
)
@click.option("--format", "format_", type=click.Choice(["table", "json", "md"]), default="table", show_default=True)
def compare(
    one: int | None,
    two: int | None,
    store: str | None,
    common: bool,
    last_good: bool,
    fail_on: str | None,
    format_: str,
    **options: Any,
) -> None:
    """Say whether two runs found the same: verdict, stage, reason and numbers of every cell, and why they differ.

    ONE and TWO are numbers of runs as `status` lists them, or counted from the newest: -1, -2. Without TWO, ONE is
    compared with the newest run; without both, the last two are compared. Both are judged by today's tolerances and
    signatures. Numbers are the arrays each run kept: those of run ONE are the reference.

    \b
    Ends with 0 where they are equal, 18 where a cell that matched in ONE does not any more, 10 where they
    differ otherwise, and 7 where no difference was seen but some cells say nothing in one of the runs (infra, or
    unavailable in one of them). What could not be measured is never a regression.

    \b
    Examples:
      python -m matrix compare                           the last two runs
      python -m matrix compare 3 7 --common
      python -m matrix compare 3 7 --fail-on regression  for CI: only what broke counts
      python -m matrix compare --last-good               what is broken that worked once, since when, and why
    """
    from matrix.core.errors import UsageError

    if last_good and (two is not None or common):
        raise UsageError("--last-good finds the other run by itself, cell by cell: name one run, without --common")
    if last_good and fail_on == "difference":
        raise UsageError("--last-good looks for cells that matched once: --fail-on regression, or new")
    if not last_good and fail_on == "new":
        raise UsageError("--fail-on new belongs to --last-good; of two runs, what broke between them is new")
    project = open_project(**options)
    history = project.state.open_store(store)
    try:
        if last_good:
            _since_good(project, history, one, format_, only_new=fail_on == "new")
        else:
            _two_runs(project, history, (one, two), common, format_, only_broken=fail_on == "regression")
    finally:
        history.close()


def _two_runs(
    project: Project,
    history: Store,
    numbers: tuple[int | None, int | None],
    common: bool,
    format_: str,
    only_broken: bool,
) -> None:
    import json

    from matrix.core.errors import Indeterminate, NothingSelected, Regressed, RunsDiffer
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
    match format_:
        case "json":
            click.echo(json.dumps(document(found), indent=1))
        case "md":
            click.echo(view.markdown(found))
        case _:
            click.echo(view.text(found))
    if found.regressed:
        raise Regressed(f"{conclusion(found)}; `python -m matrix show CELL` explains one")
    if only_broken:
        return
    if found.answer == "different":
        raise RunsDiffer(f"{conclusion(found)}; `python -m matrix status --run N` shows one of them in full")
    if found.answer == "indeterminate":
        raise Indeterminate(conclusion(found))


def _since_good(project: Project, store: Store, number: int | None, format_: str, only_new: bool) -> None:
    import json

    from matrix.core.errors import NothingSelected, Regressed, UsageError
    from matrix.history import read_history
    from matrix.history.causes import explain_all
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
    history = whole.until(position)
    changes = [change for found in history.regressions() for change in found.changes]
    changes += [change for change in history.changes(position) if change.kind == "mended"]
    since = view.SinceGood(history, explain_all(store, history, changes))
    match format_:
        case "json":
            click.echo(json.dumps(view.document(since), indent=1))
        case "md":
            click.echo(view.markdown(since))
        case _:
            click.echo(view.text(since))
    if since.new if only_new else since.regressions:
        raise Regressed(f"{since.conclusion()}; `python -m matrix show CELL` explains one")


def _chosen(runs: list[RunRecord], one: int | None, two: int | None) -> tuple[RunRecord, RunRecord]:
    """The runs meant, out of all, newest first."""
    from matrix.core.errors import NothingSelected, UsageError
    from matrix.store.records import NOT_OF_CELLS

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
