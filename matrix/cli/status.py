"""`status`: past runs, judged by today's rules."""

from __future__ import annotations

from typing import Any

import click

from matrix.cli.options import open_project, store_option, table_options

# So many runs fit on a screen.
_LISTED = 20


@click.command()
@table_options
@store_option
@click.option("--run", "number", type=int, help="The table of this run instead of the list of runs.")
@click.option("--format", "format_", type=click.Choice(["table", "json", "md", "junit"]), default="table")
def status(store: str | None, number: int | None, format_: str, **options: Any) -> None:
    """Show past runs, or the table of one.

    Verdicts are drawn anew from what was observed: a tolerance or a signature changed since then counts.
    """
    from dataclasses import replace

    from matrix.answers.drift.gather import Past, beside_then
    from matrix.cli.chosen import chosen_run
    from matrix.cli.run import show_report
    from matrix.core.errors import NothingSelected
    from matrix.history.report import report_on
    from matrix.judging.cells import Judge
    from matrix.outputs.wording import words

    project = open_project(**options)
    config = project.config
    history = project.state.open_store(store)
    try:
        runs = history.runs()
        if not runs:
            raise NothingSelected(f"{project.state.root} holds no run yet; start one: python -m matrix run")
        judge = Judge(config, history)
        if number is None and format_ == "table":
            for item in runs[:_LISTED]:
                results = judge.cells(history.cells(item.id), project.locks, item.id)
                click.echo(
                    f"run {item.id}  {item.started:%Y-%m-%d %H:%M}  {item.tier}  {item.engine}  {item.status}: "
                    f"{words.summary(results)}; {len(results)} of {item.planned} cells, "
                    f"jobs {item.jobs_run} run, {item.jobs_cached} cached\n    {item.command}"
                )
            more = f"{len(runs) - _LISTED} older ones are not listed; " if len(runs) > _LISTED else ""
            click.echo(f"{more}the table of one: python -m matrix status --run N")
            return
        run = chosen_run(runs, number)
        report, stated = report_on(run, history, judge, config, project.locks)
        if run.as_of is not None:
            past = Past(project, history, judge, run.id)
            kept = history.drift(run.id)
            told = kept["conclusion"] if kept else ""
            report = replace(report, sides=beside_then(past, report.results), drift=kept, drift_text=told)
        show_report(report, stated, format_)
    finally:
        history.close()
