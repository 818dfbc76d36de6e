"""`blame`: who broke it, when, and what cures it today."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, model_options, open_project, store_option, table_options

if TYPE_CHECKING:
    from matrix.answers.blame.report import BlameReport
    from matrix.answers.blame.table_patch import TablePatch
    from matrix.app.project import Project

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("cell")
@table_options
@model_options
@engine_options
@store_option
@click.option("--good", type=_DAY, metavar="DATE", help="A day on which it worked; default: the row's own date.")
@click.option("--bad", type=_DAY, metavar="DATE", help="A day on which it fails; default: today.")
@click.option(
    "--runs",
    type=click.IntRange(2),
    default=30,
    show_default=True,
    help="Run the cell in so many environments at most.",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Begin no run after so many minutes.")
@click.option(
    "--fix",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write what cures it as a change of the table: a diff, for `patch` or `git apply`; - prints it.",
)
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE.svg", help="Write the timeline as a picture.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Jobs at once; default: the number of cores.")
@click.option("--torch-build", metavar="NAME", default="auto", help="Build of torch where a row has several.")
def blame(
    cell: str,
    store: str | None,
    good: dt.datetime | None,
    bad: dt.datetime | None,
    runs: int,
    minutes: float | None,
    fix: Path | None,
    picture: Path | None,
    format_: str,
    jobs: int | None,
    **options: Any,
) -> None:
    """Find out who broke a cell that worked when its row was made and fails today, and what cures it.

    CELL is the id a table prints, of then or of now. Of its environment only the pins are kept; the rest is resolved as
    of other days until two days are found, next to each other, with the cell good on the first and bad on the second.
    What changed between them is tried in parts until no smaller part does it. Then today's resolution is mended, pin
    by pin, until the cell matches again.

    \b
    Examples:
      python -m matrix blame mobilehairnet/torch-1.12.1@15/onnxtf1.10.0-tf2.8.0-tfp0.16.0
      python -m matrix blame 'mobilehairnet/torch-1.12.1~now@15/onnxtf1.10.0-onnx1.10.2-tf2.8.0'
      python -m matrix blame CELL --fix cure.diff && git apply cure.diff
      python -m matrix blame net/file/onnxtf1.10.0-onnx1.11.0-tf2.9.1 --model net.onnx
    """
    import json

    from matrix.answers.blame.document import document
    from matrix.answers.blame.picture import picture as drawn
    from matrix.answers.blame.text import text
    from matrix.answers.use_cases import Bounds, RunOptions
    from matrix.answers.use_cases import blame as search
    from matrix.core.errors import Indeterminate, NoCure, UsageError

    project = open_project(**options)
    today = dt.datetime.now(dt.UTC).date()
    now = bad.date() if bad else today
    since = good.date() if good else None
    if now > today:
        raise UsageError(f"--bad {now}: nobody knows yet what the index will have; today is {today} (UTC)")
    if since is not None and since >= now:
        raise UsageError(f"--good {since} is not before {now}")
    for option, path in (("--fix", fix), ("--picture", picture)):
        if path is not None and str(path) != "-" and not path.absolute().parent.is_dir():
            raise UsageError(f"{option} {path}: there is no folder {path.absolute().parent}; make it first")
    story = search(
        project,
        RunOptions(
            store=store,
            jobs=jobs or os.cpu_count() or 2,
            command=f"python -m matrix {shlex.join(sys.argv[1:])}",
            as_of=now,
        ),
        cell,
        now,
        Bounds(runs, minutes * 60 if minutes else None),
        since,
    )
    if picture is not None:
        picture.write_text(drawn(story), encoding="utf-8")
    proposed = _proposal(project, story) if fix is not None and story.blame.cure is not None else None
    if format_ == "json":
        more = {"proposal": {"diff": proposed.diff, "stale": list(proposed.stale)}} if proposed else {}
        click.echo(json.dumps({**document(story), **more}, indent=1))
    else:
        click.echo(text(story))
    if fix is not None and proposed is None:
        left = "" if str(fix) == "-" else f"; {fix} is left as it was"
        click.echo(f"there is no cure to write down{left}", err=True)
    if proposed is not None and fix is not None:
        if str(fix) != "-":
            fix.write_text(proposed.text, encoding="utf-8")
            click.echo(f"what cures it, as a change of {project.table}: {fix}", err=True)
        elif format_ != "json":
            click.echo(proposed.text, nl=False)
    if story.blame.kind == "indeterminate" and story.blame.stopped:
        raise Indeterminate("--runs or --minutes was used up before both days were measured; allow for more")
    if story.blame.kind == "indeterminate":
        raise Indeterminate("one of the two days could not be measured here, so that nothing can be compared")
    if story.blame.kind == "broken" and story.blame.cure is None:
        raise NoCure(f"no cure found in {story.blame.tests} runs")


def _proposal(project: Project, story: BlameReport) -> TablePatch:
    from matrix.answers.blame.report import why
    from matrix.answers.blame.table_patch import proposal

    assert story.blame.cure is not None
    rows = {row.id: row for row in (*project.stated.exporters, *project.stated.converters)}
    return proposal(project.table, rows[story.row], story.blame.cure.ranges, why(story))
