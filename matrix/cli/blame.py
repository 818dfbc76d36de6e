"""`blame`: what broke a cell, when, and what fixes it today."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import (
    PATH,
    SECONDS,
    day_option,
    engine_options,
    format_option,
    jobs_option,
    model_options,
    store_option,
    table_options,
    torch_build_option,
)
from matrix.cli.steps import open_run, past_day, print_as, say
from matrix.core.errors import Indeterminate, NoCure, UsageError

if TYPE_CHECKING:
    from matrix.answers.blame.report import BlameReport
    from matrix.answers.blame.table_patch import TablePatch
    from matrix.app.project import Project


@click.command()
@click.argument("cell")
@table_options
@model_options
@engine_options
@store_option
@day_option("--good", "A day on which it worked; default: the row's own date.")
@day_option("--bad", "A day on which it fails; default: today.")
@click.option("--runs", type=click.IntRange(2), default=30, show_default=True,
              help="Most environments to run the cell in.")  # fmt: skip
@click.option("--minutes", type=SECONDS, help="Start no run after this many minutes.")
@click.option("--fix", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Write the fix as a diff of the table, for `patch` or `git apply`; - prints it.")  # fmt: skip
@click.option("--picture", type=PATH, metavar="FILE.svg", help="Write the timeline as a picture.")
@format_option("text", "json")
@jobs_option
@torch_build_option
def blame(
    cell: str,
    good: dt.date | None,
    bad: dt.date | None,
    runs: int,
    minutes: float | None,
    fix: Path | None,
    picture: Path | None,
    format_: str,
    **options: Any,
) -> None:
    """Find the package release that broke a cell, and a pin that fixes it today.

    CELL is the id a table prints, of then or of now. Only the pins of its environment are kept; the rest is resolved as
    of other days until two adjacent days are found, with the cell good on the first and bad on the second. The
    changes between them are tried in parts until no smaller part breaks the cell. Then today's resolution is
    fixed, pin by pin, until the cell matches again.

    \b
    Examples:
      python -m matrix blame mobilehairnet/torch-1.12.1@15/onnxtf1.10.0-tf2.8.0-tfp0.16.0
      python -m matrix blame 'mobilehairnet/torch-1.12.1~now@15/onnxtf1.10.0-onnx1.10.2-tf2.8.0'
      python -m matrix blame CELL --fix cure.diff && git apply cure.diff
      python -m matrix blame net/file/onnxtf1.10.0-onnx1.11.0-tf2.9.1 --model net.onnx
    """
    from matrix.answers.blame.document import document
    from matrix.answers.blame.picture import picture as drawn
    from matrix.answers.blame.text import text
    from matrix.answers.use_cases import blame as search
    from matrix.app.run_options import Bounds

    now = past_day("--bad", bad)
    if good is not None and good >= now:
        raise UsageError(f"--good {good} is not before {now}")
    for option, path in (("--fix", fix), ("--picture", picture)):
        if path is not None and str(path) != "-" and not path.absolute().parent.is_dir():
            raise UsageError(f"{option} {path}: there is no folder {path.absolute().parent}; make it first")
    project, running = open_run(**options, as_of=now)
    story = search(project, running, cell, now, Bounds(runs, minutes * 60 if minutes else None), good)
    if picture is not None:
        picture.write_text(drawn(story), encoding="utf-8")
    proposed = _proposal(project, story) if fix is not None and story.blame.cure is not None else None
    more = {"proposal": {"diff": proposed.diff, "stale": list(proposed.stale)}} if proposed else {}
    print_as(format_, json=lambda: {**document(story), **more}, text=lambda: text(story))
    if fix is not None and proposed is None:
        say(f"no fix to write{'' if str(fix) == '-' else f'; {fix} is unchanged'}")
    elif fix is not None and proposed is not None and str(fix) != "-":
        fix.write_text(proposed.text, encoding="utf-8")
        say(f"wrote the fix, as a change of {project.table}: {fix}")
    elif proposed is not None and format_ != "json":
        click.echo(proposed.text, nl=False)
    if story.blame.kind == "indeterminate" and story.blame.stopped:
        raise Indeterminate("--runs or --minutes was used up before both days were measured; allow more")
    if story.blame.kind == "indeterminate":
        raise Indeterminate("one of the two days could not be measured here, so there is nothing to compare")
    if story.blame.kind == "broken" and story.blame.cure is None:
        raise NoCure(f"no fix found in {story.blame.tests} runs")


def _proposal(project: Project, story: BlameReport) -> TablePatch:
    from matrix.answers.blame.report import why
    from matrix.answers.blame.table_patch import proposal

    assert story.blame.cure is not None
    rows = {row.id: row for row in (*project.stated.exporters, *project.stated.converters)}
    return proposal(project.table, rows[story.row], story.blame.cure.ranges, why(story))
