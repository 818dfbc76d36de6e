"""`ci`: what a nightly job needs beside the run."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import include_option, resolution_options, selection_options, store_option, table_options
from matrix.cli.steps import day_of_now, open_store, say
from matrix.core.errors import NothingSelected, UsageError

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.history import History
    from matrix.store import Store
    from matrix.store.records import Resolution


@click.group()
def ci() -> None:
    """Run in continuous integration: the fan-out of a plan, a summary, an issue for each regression."""


@ci.command("github-matrix")
@table_options
@selection_options
@store_option
@click.option("--shards", type=int, required=True, metavar="N", help="Number of parts of the plan, at most 256.")
@resolution_options
def github_matrix(shards: int, resolution: Resolution, as_of: dt.date | None, **options: Any) -> None:
    """Print the fan-out of a plan as one line of JSON, for `strategy: matrix`.

    Give it the same options as `run --shard`, and the same history. Empty shards are left out.

    \b
    Example:
      python -m matrix ci github-matrix --shards 8 --tier documented
    """
    import json
    import math

    from matrix.app.sharding import partition

    day = day_of_now(resolution, as_of)
    with open_store(**options) as (project, history):
        whole = partition(project, history, project.locked_plan(say), resolution, day, shards)
    if not whole.whole:
        raise NothingSelected(f"every selected row is younger than {day}; name a later --as-of")
    include = [
        {"shard": shard.name, "cells": len(shard.cells), "minutes": math.ceil(shard.seconds / 60)}
        for shard in whole.shards
        if shard.cells
    ]
    click.echo(json.dumps({"include": include}, separators=(",", ":")))


@ci.command()
@table_options
@store_option
@click.option("--run-id", metavar="NAME", help="The run of this name; default: the newest that decided cells.")
@click.option("--fan-out", metavar="JSON",
              help="Output of `ci github-matrix`: reports a missing shard even if it stored nothing.")  # fmt: skip
@include_option
def summary(run_id: str | None, fan_out: str | None, include: tuple[str, ...], **options: Any) -> None:
    """Print the summary of a run as Markdown, for the page of a CI job.

    \b
    Example:
      python -m matrix ci summary --run-id nightly-7 >> "$GITHUB_STEP_SUMMARY"
    """
    from matrix.outputs.ci.summary import expected_shards, summary_of

    expected = expected_shards(fan_out) if fan_out else None
    with open_store(**options) as (project, stored):
        click.echo(summary_of(stored, _public(project, stored, include), run_id, expected))


@ci.command()
@table_options
@store_option
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The repository of the issues.")
@click.option("--api", metavar="URL", default="https://api.github.com", show_default=True, envvar="GITHUB_API_URL",
              help="GitHub's API, or that of an enterprise server.")  # fmt: skip
@click.option("--site", metavar="URL", help="Address of the published dashboard, to link to its cells.")
@include_option
@click.option("--most", type=click.IntRange(1), default=20, show_default=True,
              help="Most issues to open at once; the next call opens the others.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
def issues(
    repo: str, api: str, site: str | None, include: tuple[str, ...], most: int, dry_run: bool, **options: Any
) -> None:
    """Keep one issue for each current regression.

    An issue is opened if a cell that matched no longer does, updated if more or fewer cells are affected, closed if
    all of them match again, and reopened if they break again. What could not be measured changes nothing. An issue
    that a person closed stays closed. The token is GITHUB_TOKEN; it needs `issues: write`.
    """
    import os

    from matrix.outputs.ci.github import Tracker
    from matrix.outputs.ci.issues import MENDED, RETIRED, carry_out, steps
    from matrix.outputs.ci.reports import reports

    token = os.environ.get("GITHUB_TOKEN", "")
    if not token and not dry_run:
        raise UsageError("GITHUB_TOKEN is not set: set a token that may write issues, or use --dry-run")
    with open_store(**options) as (project, stored):
        history = _public(project, stored, include)
        if not history.runs:
            # An empty history has no regressions: every issue would be closed as mended.
            raise NothingSelected(f"{project.state.root} holds no run that decided cells; no issue was changed")
        wanted = reports(stored, history, site)
        over = dict.fromkeys(history.retired(), RETIRED) | dict.fromkeys(history.mended(), MENDED)
    tracker = Tracker(api, repo, token)
    planned = steps(wanted, over, tracker.issues(), most)
    for step in planned.steps:
        click.echo(f"{'would ' if dry_run else ''}{step.said}")
        if not dry_run:
            carry_out(step, tracker)
    if planned.postponed:
        click.echo(f"{planned.postponed} more regressions have no issue yet; the next call opens them")
    if not planned.steps:
        click.echo(f"{len(wanted)} regressions; their issues are up to date")


def _public(project: Project, stored: Store, include: tuple[str, ...]) -> History:
    """Return the history of the models that may be published.

    Raises UsageError for an --include of which no cell is stored.
    """
    from matrix.history import read_history
    from matrix.judging.cells import Judge
    from matrix.outputs.privacy import Public
    from matrix.table.ids import CellId

    declared = {model.id for model in project.stated.models}
    if unknown := set(include) - declared - {CellId.parse(cell).model for cell in stored.cell_ids()}:
        raise UsageError(f"--include {', '.join(sorted(unknown))}: no stored cell is of this model")
    judge = Judge(project.config, stored)
    public = Public(declared, include)
    history = read_history(stored, judge, project.locks, wanted=public.cell, current=project.has_row)
    judge.keep()
    return history
