"""`judge`: what was found before, under other tolerances. Nothing is run again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.judging.tolerance import Tolerances
    from matrix.table.model import Config, NumberKind

KINDS = ("float64", "float32", "float16", "bfloat16", "integer", "boolean")


def _tolerance(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is no tolerance; write a finite number of at least 0")
    return value


@click.command()
@table_options
@store_option
@click.option("--run", "number", type=int, help="Which run; default: the newest.")
@click.option("--rtol", type=float, callback=_tolerance, help="Relative tolerance; default: the table's.")
@click.option("--atol", type=float, callback=_tolerance, help="Absolute tolerance; default: the table's.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    default=("float32",),
    show_default=True,
    help="Numbers they are for. Repeatable.",
)
@click.option("--format", "format_", type=click.Choice(["table", "json", "md"]), default="table")
def judge(
    store: str | None,
    number: int | None,
    rtol: float | None,
    atol: float | None,
    kinds: tuple[NumberKind, ...],
    format_: str,
    **options: Any,
) -> None:
    """Judge a stored run again under other tolerances.

    An element passes where |a - b| <= atol + rtol * |reference|. Prints the table of the run, which cells change
    against the tolerances of matrix.yml, and for each cell the tightest tolerance that would pass. Nothing is run
    and nothing is stored but comparisons.
    """
    import json

    from matrix.cli.chosen import chosen_run
    from matrix.core.errors import NothingSelected, UsageError
    from matrix.history.rejudged import changed as changed_cells
    from matrix.history.rejudged import tightest
    from matrix.history.report import report_on
    from matrix.judging.cells import Judge
    from matrix.outputs.documents.markdown import markdown
    from matrix.outputs.documents.run import document
    from matrix.outputs.terminal import rejudged
    from matrix.outputs.terminal.table import print_report

    if rtol is None and atol is None:
        raise UsageError("say --rtol, --atol or both; `python -m matrix status --run N` judges by those of the table")
    project = open_project(**options)
    stated = project.config
    asked = with_tolerances(stated, kinds, rtol, atol)
    history = project.state.open_store(store)
    try:
        runs = history.runs()
        if not runs:
            raise NothingSelected(f"{project.state.root} holds no run yet; start one: python -m matrix run")
        which = chosen_run(runs, number)
        before, _ = report_on(which, history, Judge(stated, history), stated, project.locks)
        after, _ = report_on(which, history, Judge(asked, history), asked, project.locks)
    finally:
        history.close()
    changed = changed_cells(before.results, after.results)
    used, judged = in_use(asked), after.results
    if not rtol and not atol:
        # No multiple of nothing is anything, so the table's own are scaled.
        used, judged = in_use(stated), before.results
    bases = {item.record.cell: getattr(used.get(item.record.model, used[""]), kinds[0]) for item in judged}
    tight = tightest(judged, bases)
    match format_:
        case "json":
            said = {kind: str(getattr(in_use(asked)[""], kind)) for kind in kinds}
            click.echo(json.dumps({**document(after), "judged": rejudged.document(changed, tight, said)}, indent=1))
        case "md":
            lines = [markdown(after), "", *rejudged.summary(changed, len(after.results))]
            click.echo("\n".join([*lines, "", *rejudged.tightest_markdown(tight, kinds[0])]))
        case _:
            print_report(after)
            lines = rejudged.summary(changed, len(after.results))
            click.echo("\n".join(["", *lines, "", *rejudged.tightest_lines(tight, judged, kinds[0])]))


def in_use(config: Config) -> dict[str, Tolerances]:
    """What a comparison uses, by model; under "" what a model that the table does not name gets."""
    from matrix.judging.tolerance import Tolerance, Tolerances

    def plain(stated: Mapping[NumberKind, Any]) -> dict[str, Tolerance]:
        return {kind: Tolerance(item.rtol, item.atol) for kind, item in stated.items()}

    base = Tolerances().override(plain(config.tolerances))
    return {"": base, **{model.id: base.override(plain(model.tolerances)) for model in config.models}}


def with_tolerances(config: Config, kinds: Sequence[NumberKind], rtol: float | None, atol: float | None) -> Config:
    """The table with other tolerances for these kinds, for every model; what is None stays as it is."""
    from matrix.table.model import StatedTolerance

    known = in_use(config)

    def others(name: str) -> dict[NumberKind, StatedTolerance]:
        old = {kind: getattr(known[name], kind) for kind in kinds}
        return {
            kind: StatedTolerance(rtol=item.rtol if rtol is None else rtol, atol=item.atol if atol is None else atol)
            for kind, item in old.items()
        }

    models = tuple(
        model.model_copy(update={"tolerances": {**model.tolerances, **others(model.id)}}) for model in config.models
    )
    return config.model_copy(update={"tolerances": {**config.tolerances, **others("")}, "models": models})
