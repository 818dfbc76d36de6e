"""`run`: convert, and print the verdicts."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import (
    SECONDS,
    again_option,
    engine_options,
    format_option,
    job_options,
    resolution_options,
    selection_options,
    store_option,
    table_options,
)
from matrix.cli.steps import INTERRUPTED, day_of_now, open_run, print_as, say
from matrix.core.errors import Indeterminate, Interrupted, ModelUnusable, UnexpectedVerdicts, UsageError

if TYPE_CHECKING:
    from matrix.history.report import RunReport
    from matrix.judging.cells import CellResult
    from matrix.store.records import Resolution


@click.command()
@table_options
@selection_options
@engine_options
@store_option
@format_option("table", "json", "md", "junit")
@job_options
@again_option
@click.option("--evict", is_flag=True,
              help="Remove an environment as soon as no cell of this run needs it, to save disk space.")  # fmt: skip
@click.option("--remedy", is_flag=True,
              help="If a cell fails for a reason with a remedy, run it with that change, up to three changes together, "
                   "and report which were needed.")  # fmt: skip
@click.option("--tflite", is_flag=True, help="Convert the result to TensorFlow Lite as well; run and compare that too.")
@resolution_options
@click.option("--blame", is_flag=True,
              help="With now or both: find the package release that broke or fixed every cell whose verdict differs "
                   "from then.")  # fmt: skip
@click.option("--blame-runs", type=click.IntRange(2),
              help="Most environments to run one blamed cell in; default: 30.")  # fmt: skip
@click.option("--blame-minutes", type=SECONDS,
              help="Start no run after this many minutes of blaming, all cells together; default: 60.")  # fmt: skip
@click.option("--strict", is_flag=True, help="For CI: exit 7 also for a missing interpreter or wheel.")
@click.option("--shard", metavar="I/N",
              help="Only the I-th of N parts of the plan, of about equal time as measured before. All machines with "
                   "the same table and the same history make the same parts.")  # fmt: skip
@click.option("--run-id", metavar="NAME",
              help="The run's name on every machine: shards of one name are merged into one run. If this machine "
                   "has a run of that name, it is continued.")  # fmt: skip
def run(
    format_: str,
    locked: bool,
    resolution: Resolution,
    as_of: dt.date | None,
    blame: bool,
    blame_runs: int | None,
    blame_minutes: float | None,
    strict: bool,
    shard: str | None,
    run_id: str | None,
    **options: Any,
) -> None:
    """Convert with every selected combination and print the table of verdicts.

    Stored findings are not measured again: a job is identified by the content of its environment, of the code it
    uses and of its inputs. Ctrl-C stops cleanly; the same command continues.

    \b
    Examples:
      python -m matrix run
      python -m matrix run --tier documented --only 'onnx-tf>=1.8' --format md
      python -m matrix run --with tensorflow==2.11.0
      python -m matrix run --model net.onnx
      python -m matrix run --model models.py:build --checkpoint net.pt --input 1x3x224x224
    """
    from matrix.answers.use_cases import execute
    from matrix.app.run_options import Bounds
    from matrix.planning.shards import shard_named
    from matrix.store.runs import check_uid

    if locked and resolution != "then":
        raise UsageError(f"--locked cannot be combined with --resolution {resolution}, which has to resolve")
    if not blame and (blame_runs or blame_minutes):
        raise UsageError("--blame-runs and --blame-minutes need --blame")
    if blame and resolution == "then":
        raise UsageError("--blame compares now with then; add --resolution now or both")
    if run_id is not None:
        check_uid(run_id)
    part = shard_named(shard) if shard else None
    if part and run_id is None:
        say("warning: without a common --run-id the shards will not be merged into one run")
    project, running = open_run(
        **options,
        locked=locked,
        resolution=resolution,
        as_of=day_of_now(resolution, as_of),
        blame=Bounds(blame_runs or 30, (blame_minutes or 60) * 60) if blame else None,
        shard=part,
        run_id=run_id,
    )
    report, stated = execute(project, running)
    show_report(report, stated, format_)
    _check_models(report, [model.id for model in project.given])
    _end(report, project.table, strict)


# The stages in which a user's model itself can be at fault: the reference reads its file, exporters run its code.
_OF_THE_MODEL = {
    ("exporter", "model"),
    ("exporter", "forward"),
    ("reference", "model"),
    ("reference", "load"),
    ("reference", "check"),
    ("reference", "run"),
}


def _check_models(report: RunReport, given: list[str]) -> None:
    """Raise ModelUnusable for a model of the user's that failed by itself in every cell."""
    for model in given:
        results = [result for result in report.results if result.record.model == model]
        if results and all(map(_is_at_fault, results)):
            raise ModelUnusable(f"model {model}: {results[0].finding.sentence}")


def _is_at_fault(result: CellResult) -> bool:
    """Return whether the model made this cell fail."""
    found = result.finding
    if (found.role, found.stage) not in _OF_THE_MODEL:
        return False
    # A converter that was reached has a finding about itself, unless these inputs fit no converter.
    reached = result.convert is not None or found.indeterminate
    return not reached or any(remedy.id == "other-inputs" for remedy in result.judgement.remedies)


def show_report(report: RunReport, stated: frozenset[str], format_: str) -> None:
    """Print a report in one of the formats; JSON is one object and nothing else."""
    from matrix.outputs.documents.junit import junit
    from matrix.outputs.documents.markdown import markdown
    from matrix.outputs.documents.run import document
    from matrix.outputs.terminal.table import print_report

    print_as(
        format_, report, json=document, md=markdown, junit=lambda report: junit(report, stated), table=print_report
    )


def _end(report: RunReport, table: Path, strict: bool) -> None:
    """Raise the error that gives the run its exit code: Interrupted, UnexpectedVerdicts or Indeterminate."""
    if report.status == "interrupted":
        raise Interrupted(INTERRUPTED)
    if report.complaints:
        raise UnexpectedVerdicts(f"{len(report.complaints)} cells differ from what {table} expects")
    verdicts = [result.finding.verdict for result in report.results]
    again = "this is not a finding about them; run the same command again"
    if infra := verdicts.count("infra"):
        raise Indeterminate(f"{infra} cells could not be measured (network, disk or engine); {again}")
    if report.unresolved:
        raise Indeterminate(
            f"{len(report.unresolved)} environments could not be resolved as of {report.as_of}; {again}"
        )
    missing = verdicts.count("unavailable")
    if missing and (strict or missing == len(verdicts)):
        raise Indeterminate(
            f"{missing} cells could not be judged here; see the table for the reasons, and `python -m matrix doctor` "
            "for missing interpreters and wheels"
        )
