"""`judge`: a stored run with other tolerances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import format_option, store_option, table_options
from matrix.cli.steps import open_store, print_as
from matrix.core.errors import UsageError

if TYPE_CHECKING:
    from matrix.table.model import Config, NumberKind

KINDS = ("float64", "float32", "float16", "bfloat16", "integer", "boolean")


def _tolerance(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise click.BadParameter(f"{value} is not a tolerance; use a finite number of at least 0")
    return value


@click.command()
@table_options
@store_option
@click.option("--run", "number", type=int, help="The run to judge; default: the newest.")
@click.option("--rtol", type=float, callback=_tolerance, help="Relative tolerance; default: the table's.")
@click.option("--atol", type=float, callback=_tolerance, help="Absolute tolerance; default: the table's.")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, default=("float32",), show_default=True,
              help="The dtypes they are for. Repeatable.")  # fmt: skip
@format_option("table", "json", "md")
def judge(
    number: int | None,
    rtol: float | None,
    atol: float | None,
    kinds: tuple[NumberKind, ...],
    format_: str,
    **options: Any,
) -> None:
    """Judge a stored run again with other tolerances.

    An element passes if |a - b| <= atol + rtol * |reference|. Prints the table of the run, the cells whose verdict
    differs from that by the tolerances of matrix.yml, and for each cell the tightest tolerance that would pass.
    Nothing is run, and only comparisons are stored.
    """
    from matrix.cli.chosen import chosen_run, stored_runs
    from matrix.history.rejudged import changed as changed_cells
    from matrix.history.rejudged import tightest
    from matrix.history.report import report_on
    from matrix.judging.cells import Judge, tolerances_of
    from matrix.outputs.documents.markdown import markdown
    from matrix.outputs.documents.run import document
    from matrix.outputs.terminal import rejudged
    from matrix.outputs.terminal.table import print_report

    if rtol is None and atol is None:
        raise UsageError("use --rtol, --atol or both; `python -m matrix status --run N` judges by those of the table")
    with open_store(**options) as (project, history):
        stated = project.config
        asked = with_tolerances(stated, kinds, rtol, atol)
        run = chosen_run(stored_runs(project, history), number)
        before, after = (
            report_on(run, history, Judge(config, history), config, project.locks)[0] for config in (stated, asked)
        )
    changed = changed_cells(before.results, after.results)
    # Multiples of zero are zero: then the table's tolerances are scaled.
    scaled, judged = (asked, after.results) if rtol or atol else (stated, before.results)
    bases = {item.record.cell: getattr(tolerances_of(scaled, item.record.model), kinds[0]) for item in judged}
    tight = tightest(judged, bases)
    summary = ["", *rejudged.summary(changed, len(after.results)), ""]

    def as_document() -> dict[str, Any]:
        said = {kind: str(getattr(tolerances_of(asked, ""), kind)) for kind in kinds}
        return {**document(after), "judged": rejudged.document(changed, tight, said)}

    def as_table() -> str:
        print_report(after)
        return "\n".join([*summary, *rejudged.tightest_lines(tight, judged, kinds[0])])

    print_as(
        format_,
        json=as_document,
        md=lambda: "\n".join([markdown(after), *summary, *rejudged.tightest_markdown(tight, kinds[0])]),
        table=as_table,
    )


def with_tolerances(config: Config, kinds: Sequence[NumberKind], rtol: float | None, atol: float | None) -> Config:
    """Return the table with other tolerances for these kinds, for every model; None: unchanged."""
    from matrix.judging.cells import tolerances_of
    from matrix.table.model import StatedTolerance

    def others(name: str) -> dict[NumberKind, StatedTolerance]:
        known = tolerances_of(config, name)
        old = {kind: getattr(known, kind) for kind in kinds}
        return {
            kind: StatedTolerance(rtol=item.rtol if rtol is None else rtol, atol=item.atol if atol is None else atol)
            for kind, item in old.items()
        }

    models = tuple(
        model.model_copy(update={"tolerances": {**model.tolerances, **others(model.id)}}) for model in config.models
    )
    return config.model_copy(update={"tolerances": {**config.tolerances, **others("")}, "models": models})
