"""`status`: past runs, judged by today's rules."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import format_option, store_option, table_options
from matrix.cli.steps import open_store

# So many runs fit on a screen.
_LISTED = 20


@click.command()
@table_options
@store_option
@click.option("--run", "number", type=int, help="Print the table of this run instead of the list of runs.")
@format_option("table", "json", "md", "junit")
def status(number: int | None, format_: str, **options: Any) -> None:
    """List past runs, or print the table of one.

    Stored observations are judged again, by today's tolerances and signatures.
    """
    from dataclasses import replace

    from matrix.answers.drift.gather import Past, beside_then
    from matrix.cli.chosen import chosen_run, stored_runs
    from matrix.cli.run import show_report
    from matrix.history.report import report_on
    from matrix.judging.cells import Judge
    from matrix.outputs.wording import words

    with open_store(**options) as (project, history):
        runs = stored_runs(project, history)
        judge = Judge(project.config, history)
        if number is None and format_ == "table":
            for item in runs[:_LISTED]:
                results = judge.cells(history.cells(item.id), project.locks, item.id)
                click.echo(
                    f"run {item.id}  {item.started:%Y-%m-%d %H:%M}  {item.tier}  {item.engine}  {item.status}: "
                    f"{words.summary(results)}; {len(results)} of {item.planned} cells, "
                    f"jobs {item.jobs_run} run, {item.jobs_cached} cached\n    {item.command}"
                )
            more = f"{len(runs) - _LISTED} older runs are not listed; " if len(runs) > _LISTED else ""
            click.echo(f"{more}the table of one: python -m matrix status --run N")
            return
        run = chosen_run(runs, number)
        report, stated = report_on(run, history, judge, project.config, project.locks)
        if run.as_of is not None:
            past = Past(project, history, judge, run.id)
            drift = history.drift(run.id)
            text = drift["conclusion"] if drift else ""
            report = replace(report, sides=beside_then(past, report.results), drift=drift, drift_text=text)
        show_report(report, stated, format_)
