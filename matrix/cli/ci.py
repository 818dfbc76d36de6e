"""`ci`: what a nightly job asks for beside the run itself."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import open_project, selection_options, store_option, table_options

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.history import History
    from matrix.store import Store
    from matrix.store.records import Resolution


@click.group()
def ci() -> None:
    """What continuous integration needs: the fan-out of a plan, a summary, an issue for each regression."""


@ci.command("github-matrix")
@table_options
@selection_options
@store_option
@click.option("--shards", type=int, required=True, metavar="N", help="In how many parts the plan is cut, at most 256.")
@click.option("--resolution", type=click.Choice(["then", "now", "both"]), default="then", show_default=True)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The day that `now` is.")
def github_matrix(
    shards: int, resolution: Resolution, as_of: dt.datetime | None, store: str | None, **options: Any
) -> None:
    """Print the fan-out of a plan as one line of JSON, for `strategy: matrix`.

    Give it the options that `run --shard` gets, and the same history. Empty shards are left out.

    \b
    Example:
      python -m matrix ci github-matrix --shards 8 --tier documented
    """
    import json
    import math

    from matrix.app.sharding import partition
    from matrix.cli.run import day_of_now
    from matrix.core.errors import NothingSelected

    project = open_project(**options)
    day = day_of_now(resolution, as_of)
    plan = project.locked_plan(lambda text: click.echo(text, err=True))
    history = project.state.open_store(store)
    try:
        whole = partition(project, history, plan, resolution, day, shards)
    finally:
        history.close()
    if not whole.whole:
        raise NothingSelected(f"every row that was selected is younger than {day}; name a later --as-of")
    include = [
        {"shard": shard.name, "cells": len(shard.cells), "minutes": math.ceil(shard.seconds / 60)}
        for shard in whole.shards
        if shard.cells
    ]
    click.echo(json.dumps({"include": include}, separators=(",", ":")))


@ci.command()
@table_options
@store_option
@click.option("--run-id", metavar="NAME", help="The run of this name; default: the newest about cells.")
@click.option(
    "--fan-out",
    metavar="JSON",
    help="What `ci github-matrix` printed: then a shard that left nothing at all is missed too.",
)
@click.option("--include", metavar="MODEL", multiple=True, help="A model that matrix.yml does not declare. Repeatable.")
def summary(
    run_id: str | None, fan_out: str | None, include: tuple[str, ...], store: str | None, **options: Any
) -> None:
    """Print what a run came to as Markdown, for the page of a CI job.

    \b
    Example:
      python -m matrix ci summary --run-id nightly-7 >> "$GITHUB_STEP_SUMMARY"
    """
    from matrix.outputs.ci.summary import expected_shards, summary_of

    project = open_project(**options)
    expected = expected_shards(fan_out) if fan_out else None
    stored = project.state.open_store(store)
    try:
        history = _public(project, stored, include)
        click.echo(summary_of(stored, history, run_id, expected))
    finally:
        stored.close()


@ci.command()
@table_options
@store_option
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The repository whose issues are kept.")
@click.option(
    "--api",
    metavar="URL",
    default="https://api.github.com",
    show_default=True,
    envvar="GITHUB_API_URL",
    help="GitHub's API, or that of an enterprise server.",
)
@click.option("--site", metavar="URL", help="Where the dashboard is published, to link to its cells.")
@click.option("--include", metavar="MODEL", multiple=True, help="A model that matrix.yml does not declare. Repeatable.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Open so many issues at once at most; the others follow with the next call.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def issues(
    repo: str,
    api: str,
    site: str | None,
    include: tuple[str, ...],
    most: int,
    dry_run: bool,
    store: str | None,
    **options: Any,
) -> None:
    """Keep one issue for each regression that stands.

    Opened where a cell that matched does not any more, updated where more or fewer cells are concerned, closed where
    all of them match again, reopened where they break again. What could not be measured changes nothing. An issue
    that a person closed stays closed. The token is GITHUB_TOKEN; it needs `issues: write`.
    """
    import os

    from matrix.core.errors import NothingSelected, UsageError
    from matrix.outputs.ci.github import Tracker
    from matrix.outputs.ci.issues import MENDED, RETIRED, carry_out, steps
    from matrix.outputs.ci.reports import reports

    token = os.environ.get("GITHUB_TOKEN", "")
    if not token and not dry_run:
        raise UsageError("GITHUB_TOKEN is not set: give it a token that may write issues, or say --dry-run")
    project = open_project(**options)
    stored = project.state.open_store(store)
    try:
        history = _public(project, stored, include)
        if not history.runs:
            # An empty history knows no regression: every issue would be closed as mended.
            raise NothingSelected(f"{project.state.root} holds no run about cells; nothing is said of any issue")
        wanted = reports(stored, history, site)
        over = dict.fromkeys(history.retired(), RETIRED) | dict.fromkeys(history.mended(), MENDED)
    finally:
        stored.close()
    tracker = Tracker(api, repo, token)
    planned = steps(wanted, over, tracker.issues(), most)
    for step in planned.steps:
        click.echo(f"{'would ' if dry_run else ''}{step.said}")
        if not dry_run:
            carry_out(step, tracker)
    if planned.postponed:
        click.echo(f"{planned.postponed} more regressions have no issue yet; the next call opens them")
    if not planned.steps:
        click.echo(f"{len(wanted)} regressions stand, and their issues say so already")


def _public(project: Project, stored: Store, include: tuple[str, ...]) -> History:
    """The history of what may leave the machine. Raises UsageError for an --include that names no stored model."""
    from matrix.core.errors import UsageError
    from matrix.history import read_history
    from matrix.judging.cells import Judge
    from matrix.outputs.privacy import Public
    from matrix.table.ids import CellId

    declared = {model.id for model in project.stated.models}
    if unknown := set(include) - declared - {CellId.parse(cell).model for cell in stored.cell_ids()}:
        raise UsageError(f"--include {', '.join(sorted(unknown))}: no stored cell is of such a model")
    judge = Judge(project.config, stored)
    public = Public(declared, include)
    history = read_history(stored, judge, project.locks, wanted=public.cell, current=project.has_row)
    judge.keep()
    return history
