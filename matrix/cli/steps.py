"""The steps that several commands share: open the project and the store, print by format."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.core.errors import UsageError
from matrix.core.processes import available_cores

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.app.run_options import RunOptions
    from matrix.store import Store
    from matrix.store.records import Resolution

INTERRUPTED = "interrupted; finished work is stored, and the same command continues"


def say(text: str) -> None:
    """Print to standard error."""
    click.echo(text, err=True)


def print_as(format_: str, *subjects: Any, **formats: Callable[..., Any]) -> None:
    """Print what the function of the chosen format makes of the subjects: text, or a document for `json`.

    A function that prints by itself returns None.
    """
    made = formats[format_](*subjects)
    if made is not None:
        click.echo(json.dumps(made, indent=1) if format_ == "json" else made)


def open_project(
    table: Path, state: Path, index_url: str | None, find_links: tuple[str, ...], **options: Any
) -> Project:
    """Return the project of a command. Raises UsageError for a wrong model and, if one is named, ConfigError."""
    from matrix.app.project import Project
    from matrix.cli.model_options import ModelOptions, named_models
    from matrix.core.paths import TABLE
    from matrix.packages.index import IndexSettings
    from matrix.store.state import State

    if table == Path("matrix.yml") and not table.exists() and TABLE.exists():
        # Called from elsewhere, such as a user's project: leave no files there.
        table = TABLE
        state = TABLE.parent / state if state == Path(".matrix") else state
        say(f"table {table}, state {state}")
    models = options.pop("models", ())
    about = ModelOptions(**{item.name: options.pop(item.name) for item in fields(ModelOptions) if item.name in options})
    settings = IndexSettings.resolve(index=index_url, find_links=find_links)
    project = Project(table, State(state.absolute()), settings, **options)
    if not models and about.is_empty:
        return project
    named, given = named_models(models, about, [model.id for model in project.stated.models])
    return project.selecting(models=named, given=given)


def open_run(**options: Any) -> tuple[Project, RunOptions]:
    """Return the project of a command that runs jobs, and how to run them. Raises UsageError and ConfigError."""
    from matrix.app.run_options import RunOptions

    how = {item.name: options.pop(item.name) for item in fields(RunOptions) if item.name in options}
    jobs = how.pop("jobs", None) or available_cores()
    return open_project(**options), RunOptions(jobs=jobs, command=f"python -m matrix {shlex.join(sys.argv[1:])}", **how)


@contextlib.contextmanager
def open_store(store: str | None, hold: bool = False, **options: Any) -> Iterator[tuple[Project, Store]]:
    """Open the project and the store of a command; with `hold`, keep other drivers out of the state folder.

    Raises ConfigError for a wrong table, UsageError for a wrong model, and StateInUse.
    """
    project = open_project(**options)
    _ = project.config  # A wrong table is reported before anything is touched.
    with (
        project.state.held() if hold else contextlib.nullcontext(),
        contextlib.closing(project.state.open_store(store)) as history,
    ):
        yield project, history


def day_of_now(resolution: Resolution, as_of: dt.date | None) -> dt.date | None:
    """Return the day that `now` means, None if nothing is resolved as of it. Raises UsageError for a future day."""
    if resolution == "then":
        if as_of is not None:
            raise UsageError("--as-of says when `now` is; add --resolution now or both")
        return None
    return past_day("--as-of", as_of)


def past_day(option: str, day: dt.date | None) -> dt.date:
    """Return the day, by default today (UTC). Raises UsageError for a future one."""
    today = dt.datetime.now(dt.UTC).date()
    if day is not None and day > today:
        raise UsageError(f"{option} {day} is in the future (today is {today} UTC)")
    return day or today
