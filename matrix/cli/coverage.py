"""`coverage`: which operators each converter gets right."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import again_option, engine_options, format_option, job_options, store_option, table_options
from matrix.cli.steps import INTERRUPTED, open_run, print_as, say
from matrix.core.errors import Indeterminate, Interrupted, NothingSelected, UsageError

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.outputs.documents.coverage import CoverageReport


@click.command()
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@table_options
@engine_options
@store_option
@format_option("table", "md", "json")
@job_options
@again_option
@click.option("--stored", is_flag=True, help="Measure nothing; print what is stored.")
def coverage(rows: tuple[str, ...], format_: str, stored: bool, **options: Any) -> None:
    """Measure which operators converters get right.

    In the environment of every ROW (a converter's id, or a glob over them) the ONNX backend test cases that its
    onnx package ships are converted, run and compared, each in its own process. Prints the cases by verdict, what
    each release of a converter supports, by operator and opset, and where that differs from what it claims. Stored
    measurements are not repeated.

    Without a ROW: what is stored or, if nothing is, the converters of the table's default tier.

    \b
    Examples:
      python -m matrix coverage onnxtf1.10.0-onnx1.10.2-tf2.8.0
      python -m matrix coverage 'onnxtf1.10.0-*' --format md
      python -m matrix coverage --stored --format json
    """
    from matrix.answers.operators.coverage import Coverage
    from matrix.answers.operators.stored import Coverages, Unmeasured
    from matrix.answers.use_cases import measure_coverage
    from matrix.families import family_of
    from matrix.outputs.documents.coverage import CoverageReport, beside, document
    from matrix.outputs.terminal import coverage as view

    project, running = open_run(**options)
    named = chosen(project, rows)
    wanted = [] if stored else named if rows else _default(project, running.store)
    observations, done = measure_coverage(project, running, wanted) if wanted else (None, True)
    with contextlib.closing(project.state.open_store(running.store)) as history:
        reader = Coverages(project.config, history)
        if observations is None:
            observations = reader.observations(named)
        found = reader.of(observations)
    if done and not found:
        raise NothingSelected(f"{project.state.root} holds no coverage of these rows; without --stored it is measured")
    report = CoverageReport(
        tuple(item for item in found.values() if isinstance(item, Coverage)),
        tuple(item for item in found.values() if isinstance(item, Unmeasured)),
        {row.id: beside(family_of(row), row.pins) for row in project.config.converters},
        {row: sum(part.seconds for part in observation.passes) for row, observation in observations.items()},
    )
    print_as(format_, report, json=document, md=view.markdown, table=view.print_coverage)
    if not done:
        raise Interrupted(INTERRUPTED)
    _end(report)


def chosen(project: Project, patterns: Sequence[str]) -> list[str]:
    """Return the converters that any of these names or globs fits, in the order of the table; without one, all.

    Only converters whose family runs backend test cases are returned. Raises UsageError for a pattern that fits none.
    """
    from matrix.families import family_of

    known = _able(project)
    for pattern in patterns:
        if not any(fnmatchcase(row, pattern) for row in known):
            for row in project.config.converters:
                if fnmatchcase(row.id, pattern):
                    raise UsageError(f"{row.id}: {family_of(row).title} has no operator coverage to measure")
            raise UsageError(f"no converter {pattern}; the table has: {', '.join(known)}")
    return [row for row in known if any(fnmatchcase(row, pattern) for pattern in patterns or ("*",))]


def _able(project: Project) -> list[str]:
    from matrix.families import family_of

    return [row.id for row in project.config.converters if "coverage" in family_of(row).capabilities]


def _default(project: Project, store: str | None) -> list[str]:
    """Return the rows to measure if none was named: none if any coverage is stored."""
    known = _able(project)
    with contextlib.closing(project.state.open_store(store)) as history:
        if history.newest("coverage").keys() & known:
            say("no row was named: printing what is stored")
            return []
    converters = {cell.converter.id for cell in project.plan().cells}
    say(f"no row was named: measuring those of tier {project.selection.tier}")
    return [row for row in known if row in converters]


def _end(report: CoverageReport) -> None:
    """Raise Indeterminate for rows that could not be measured."""
    verdicts = {item.converter: item.finding.verdict for item in report.unmeasured}
    if infra := [row for row, verdict in verdicts.items() if verdict == "infra"]:
        raise Indeterminate(
            f"{', '.join(infra)}: not measured (network, disk or engine); this is not a finding about them; run the "
            "same command again"
        )
    if not report.coverages and set(verdicts.values()) == {"unavailable"}:
        raise Indeterminate("none of these rows could be measured here; see the table for the reasons")
