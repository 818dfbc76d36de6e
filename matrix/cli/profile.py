"""`profile`: where the time of a stored run went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import PATH, format_option, store_option, table_options
from matrix.cli.steps import open_store, print_as, say
from matrix.core.errors import NothingSelected, UsageError

if TYPE_CHECKING:
    from matrix.store import RunRecord


@click.command()
@click.argument("run", type=int, required=False)
@table_options
@store_option
@click.option("--picture", type=PATH, metavar="FILE.svg", help="Write a timeline of the run as a picture.")
@format_option("table", "json")
def profile(run: int | None, picture: Path | None, format_: str, **options: Any) -> None:
    """Show where the time of a stored run went.

    RUN is a number as `status` lists it; default: the newest run that ran jobs. Prints what the processors were used
    for, the time by stage, job type and environment, how many passes ran at once, and the critical path: the chain of
    passes and builds that decided when the run ended. Nothing is run. What the run did not record, such as one of an
    older version, is shown as unknown.

    \b
    Examples:
      python -m matrix profile
      python -m matrix profile 7 --picture run-7.svg   a timeline: each slot, each stage, each build
    """
    from matrix.cli.chosen import chosen_run, stored_runs
    from matrix.history.profile import profile as profile_of
    from matrix.outputs.documents.profile import document
    from matrix.outputs.picture.timeline import timeline
    from matrix.outputs.terminal.profile import print_profile

    if picture is not None and not picture.absolute().parent.is_dir():
        raise UsageError(f"--picture {picture}: there is no folder {picture.absolute().parent}; make it first")
    with open_store(**options) as (project, history):
        runs = stored_runs(project, history)
        chosen = chosen_run(runs, run) if run is not None else _newest_that_ran(runs)
        found = profile_of(chosen, history.made_by(chosen.id), history.cells(chosen.id))
    if not found.passes:
        raise NothingSelected(_without_jobs(chosen))
    if picture is not None:
        picture.write_text(timeline(found), encoding="utf-8")
        say(f"timeline: {picture}")
    print_as(format_, found, json=document, table=print_profile)


def _newest_that_ran(runs: Sequence[RunRecord]) -> RunRecord:
    """Return the newest run that ran jobs. Raises NothingSelected if none did."""
    found = next((run for run in runs if run.jobs_run), None)
    if found is None:
        raise NothingSelected("no stored run ran a job; `python -m matrix run --again` runs jobs whatever is stored")
    return found


def _without_jobs(run: RunRecord) -> str:
    """Say why a run has nothing to profile, and what to do."""
    if run.jobs_run:
        return f"the jobs of run {run.id} are no longer stored; name another run: `python -m matrix status` lists them"
    return (
        f"run {run.id} ran no jobs, {run.jobs_cached} were cached; name another run, or run them: "
        "python -m matrix run --again"
    )
