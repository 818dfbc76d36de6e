"""`run`: the main job."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, open_project, selection_options, store_option, table_options

if TYPE_CHECKING:
    from matrix.history.report import RunReport
    from matrix.judging.cells import CellResult
    from matrix.store.records import Resolution

# It is the name of a folder in an export.


@click.command()
@table_options
@selection_options
@engine_options
@store_option
@click.option(
    "--format", "format_", type=click.Choice(["table", "json", "md", "junit"]), default="table", show_default=True
)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Jobs at once; default: the number of cores.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for one pass of one job."
)
@click.option("--memory", type=click.IntRange(64), metavar="MB", help="Limit for one job's resident memory.")
@click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
@click.option("--again", is_flag=True, help="Run jobs even where a finding is stored.")
@click.option(
    "--evict", is_flag=True, help="Remove an environment as soon as no cell of this run needs it: for want of disk."
)
@click.option(
    "--remedy",
    is_flag=True,
    help="Try what would help: where a cell fails for a reason with a remedy, run it with that change, up to three "
    "changes together, and say which were needed.",
)
@click.option(
    "--tflite", is_flag=True, help="Carry what was converted on to TensorFlow Lite, run and compare that too."
)
@click.option(
    "--resolution",
    type=click.Choice(["then", "now", "both"]),
    default="then",
    show_default=True,
    help="then: every environment from its committed lock. now: one environment of each cell resolved as of today, "
    "its pins and its Python as they are. both: side by side.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The day that `now` is; default: today. Only what the index had before that day (UTC) counts.",
)
@click.option(
    "--blame",
    is_flag=True,
    help="With now or both: find out who broke or mended every cell that comes out otherwise than then.",
)
@click.option(
    "--blame-runs",
    type=click.IntRange(2),
    help="Run one blamed cell in so many environments at most; default: 30.",
)
@click.option(
    "--blame-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Begin no run after so many minutes of blaming, all cells together; default: 60.",
)
@click.option("--strict", is_flag=True, help="For CI: a missing interpreter or wheel ends with exit code 7 too.")
@click.option(
    "--shard",
    metavar="I/N",
    help="Only the I-th of N parts of the plan, about equally long by what was measured before. Every machine with the "
    "same table and the same history cuts it the same way.",
)
@click.option(
    "--run-id",
    metavar="NAME",
    help="The run's name on every machine: shards of one name become one run when they are merged. Where this machine "
    "has a run of that name, it is continued.",
)
def run(
    store: str | None,
    format_: str,
    jobs: int | None,
    timeout: float | None,
    memory: int | None,
    locked: bool,
    again: bool,
    evict: bool,
    remedy: bool,
    tflite: bool,
    resolution: Resolution,
    as_of: dt.datetime | None,
    blame: bool,
    blame_runs: int | None,
    blame_minutes: float | None,
    strict: bool,
    shard: str | None,
    run_id: str | None,
    **options: Any,
) -> None:
    """Convert in every selected combination and print the table of verdicts.

    What was found before is not run again: a job's identity is the content of its environment, of the code it
    uses and of its inputs. Ctrl-C stops cleanly; the same command continues.

    \b
    Examples:
      python -m matrix run
      python -m matrix run --tier documented --only 'onnx-tf>=1.8' --format md
      python -m matrix run --with tensorflow==2.11.0
      python -m matrix run --model net.onnx
      python -m matrix run --model models.py:build --checkpoint net.pt --input 1x3x224x224
    """
    from matrix.answers.use_cases import Bounds, RunOptions, execute
    from matrix.core.errors import UsageError
    from matrix.planning.shards import shard_named
    from matrix.store.parts import check_uid

    if locked and resolution != "then":
        raise UsageError("--locked resolves nothing, and now is what is resolved; leave one of them out")
    if not blame and (blame_runs or blame_minutes):
        raise UsageError("--blame-runs and --blame-minutes bound --blame, which is missing")
    if blame and resolution == "then":
        raise UsageError("--blame compares now with then; add --resolution now or both")
    if run_id is not None:
        check_uid(run_id)
    part = shard_named(shard) if shard else None
    if part and run_id is None:
        click.echo("without --run-id, the same for all shards, each stays a run of its own", err=True)
    project = open_project(**options)
    day = day_of_now(resolution, as_of)
    report, stated = execute(
        project,
        RunOptions(
            store=store,
            jobs=jobs or os.cpu_count() or 2,
            seconds=timeout,
            memory_mb=memory,
            locked=locked,
            again=again,
            evict=evict,
            remedy=remedy,
            tflite=tflite,
            resolution=resolution,
            as_of=day,
            blame=Bounds(blame_runs or 30, (blame_minutes or 60) * 60) if blame else None,
            command=f"python -m matrix {shlex.join(sys.argv[1:])}",
            shard=part,
            run_id=run_id,
        ),
    )
    show_report(report, stated, format_)
    _usable(report, [model.id for model in project.given])
    _end(report, project.table, strict)


def day_of_now(resolution: Resolution, as_of: dt.datetime | None) -> dt.date | None:
    """The day that now is, None where nothing is resolved as of it. Raises UsageError for one that is to come."""
    from matrix.core.errors import UsageError

    if resolution == "then":
        if as_of is not None:
            raise UsageError("--as-of says when `now` is; add --resolution now or both")
        return None
    today = dt.datetime.now(dt.UTC).date()
    day = as_of.date() if as_of else today
    if day > today:
        raise UsageError(f"--as-of {day}: nobody knows yet what the index will have; today is {today} (UTC)")
    return day


def _usable(report: RunReport, given: list[str]) -> None:
    """Raises ModelUnusable where a model of the user's never came as far as an exporter or a converter."""
    from matrix.core.errors import ModelUnusable

    for model in given:
        results = [result for result in report.results if result.record.model == model]
        # Its file was looked into by the reference environment; its code ran in an exporter's first stages.
        at_fault = [result for result in results if _of_the_model(result)]
        if results and len(at_fault) == len(results):
            found = at_fault[0].judgement
            said = (
                f" ({found.finding.said})"
                if found.finding.said and found.finding.said.partition(": ")[2] not in found.finding.title
                else ""
            )
            raise ModelUnusable(f"model {model}: {found.finding.title}{said}")


def _of_the_model(result: CellResult) -> bool:
    judgement = result.judgement
    if (judgement.finding.role, judgement.finding.stage) not in _OF_THE_MODEL:
        return False
    # A converter that was reached has something to say, unless nobody takes the inputs.
    reached = result.convert is not None or judgement.finding.indeterminate
    return not reached or any(remedy.id == "other-inputs" for remedy in judgement.remedies)


_OF_THE_MODEL = {
    ("exporter", "model"),
    ("exporter", "forward"),
    ("reference", "model"),
    ("reference", "load"),
    ("reference", "check"),
    ("reference", "run"),
}


def show_report(report: RunReport, stated: frozenset[str], format_: str) -> None:
    """Print a report in one of the formats; JSON is one object and nothing else."""
    import json

    match format_:
        case "json":
            from matrix.outputs.documents.run import document

            click.echo(json.dumps(document(report), indent=1))
        case "md":
            from matrix.outputs.documents.markdown import markdown

            click.echo(markdown(report))
        case "junit":
            from matrix.outputs.documents.junit import junit

            click.echo(junit(report, stated))
        case _:
            from matrix.outputs.terminal.table import print_report

            print_report(report)


def _end(report: RunReport, table: Path, strict: bool) -> None:
    """Raise what gives the run its exit code."""
    from matrix.core.errors import Indeterminate, Interrupted, UnexpectedVerdicts

    if report.status == "interrupted":
        raise Interrupted("interrupted; what had finished is stored, the same command continues")
    if report.complaints:
        raise UnexpectedVerdicts(f"{len(report.complaints)} cells are not what {table} expects")
    verdicts = [result.finding.verdict for result in report.results]
    infra = verdicts.count("infra")
    if infra:
        raise Indeterminate(
            f"{infra} cells could not be measured (network, disk or engine); that says nothing about them, "
            "run the same command again"
        )
    if report.unresolved:
        raise Indeterminate(
            f"{len(report.unresolved)} environments could not be resolved as of {report.as_of}; that says nothing "
            "about them, run the same command again"
        )
    missing = verdicts.count("unavailable")
    if missing and (strict or missing == len(verdicts)):
        raise Indeterminate(
            f"{missing} cells could not be judged here; the table says why (of missing interpreters and wheels "
            "`python -m matrix doctor` says more)"
        )
