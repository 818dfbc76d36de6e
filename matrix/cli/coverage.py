"""`coverage`: which operators each converter gets right."""

from __future__ import annotations

import os
import shlex
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from matrix.cli.options import engine_options, open_project, store_option, table_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.app.project import Project
    from matrix.outputs.documents.coverage import CoverageReport


@click.command()
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@table_options
@engine_options
@store_option
@click.option("--format", "format_", type=click.Choice(["table", "md", "json"]), default="table", show_default=True)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Rows at once; default: the number of cores.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Limit for one row.")
@click.option("--memory", type=click.IntRange(64), metavar="MB", help="Limit for one row's resident memory.")
@click.option("--locked", is_flag=True, help="Never resolve: exit 9 if a lock is missing or stale.")
@click.option("--again", is_flag=True, help="Measure even what is stored.")
@click.option("--stored", is_flag=True, help="Measure nothing; say what is stored.")
def coverage(
    rows: tuple[str, ...],
    store: str | None,
    format_: str,
    jobs: int | None,
    timeout: float | None,
    memory: int | None,
    locked: bool,
    again: bool,
    stored: bool,
    **options: Any,
) -> None:
    """Measure which operators converters get right.

    In the environment of every ROW (a converter's id, or a glob over them) the ONNX backend test cases that its own
    onnx package ships are converted, run and compared, each in a process of its own. Prints the cases by verdict,
    what each release of a converter supports, by operator and opset, and where that is not what it claims. What was
    measured is stored and not measured again.

    Without a ROW: what is stored or, where nothing is, the converters of the table's default tier.

    \b
    Examples:
      python -m matrix coverage onnxtf1.10.0-onnx1.10.2-tf2.8.0
      python -m matrix coverage 'onnxtf1.10.0-*' --format md
      python -m matrix coverage --stored --format json
    """
    from matrix.answers.operators.coverage import Coverage
    from matrix.answers.operators.stored import Coverages, Unmeasured
    from matrix.answers.use_cases import RunOptions, measure_coverage
    from matrix.core.errors import Interrupted, NothingSelected
    from matrix.families import family_of
    from matrix.outputs.documents.coverage import CoverageReport, beside

    project = open_project(**options)
    named = chosen(project, rows)
    done = True
    observations = None
    if not stored:
        wanted = named if rows else _default(project, store)
        if wanted:
            observations, done = measure_coverage(
                project,
                RunOptions(
                    store=store,
                    jobs=jobs or os.cpu_count() or 2,
                    seconds=timeout,
                    memory_mb=memory,
                    locked=locked,
                    again=again,
                    command=f"python -m matrix {shlex.join(sys.argv[1:])}",
                ),
                wanted,
            )
    history = project.state.open_store(store)
    try:
        reader = Coverages(project.config, history)
        if observations is None:
            observations = reader.observations(named)
        found = reader.of(observations)
    finally:
        history.close()
    if done and not found:
        raise NothingSelected(f"{project.state.root} holds no coverage of that; leave out --stored to measure it")
    report = CoverageReport(
        tuple(item for item in found.values() if isinstance(item, Coverage)),
        tuple(item for item in found.values() if isinstance(item, Unmeasured)),
        {row.id: beside(family_of(row), row.pins) for row in project.config.converters},
        {row: sum(part.seconds for part in observation.passes) for row, observation in observations.items()},
    )
    _show(report, format_)
    if not done:
        raise Interrupted("interrupted; what had finished is stored, the same command continues")
    _end(report)


def chosen(project: Project, patterns: Sequence[str]) -> list[str]:
    """The converters that any of these names or globs fits, all without one, in the order of the table; of those whose
    family runs backend test cases.

    Raises UsageError for one that fits nothing.
    """
    from matrix.core.errors import UsageError
    from matrix.families import family_of

    known = _able(project)
    if not patterns:
        return known
    for pattern in patterns:
        if not any(fnmatchcase(row, pattern) for row in known):
            for row in project.config.converters:
                if fnmatchcase(row.id, pattern):
                    raise UsageError(f"{row.id}: {family_of(row).title} has no operator coverage to measure")
            raise UsageError(f"no converter {pattern}; the table has: {', '.join(known)}")
    return [row for row in known if any(fnmatchcase(row, pattern) for pattern in patterns)]


def _able(project: Project) -> list[str]:
    from matrix.families import family_of

    return [row.id for row in project.config.converters if "coverage" in family_of(row).capabilities]


def _default(project: Project, store: str | None) -> list[str]:
    """What to measure where no row was named; nothing where coverage of any is stored."""

    known = _able(project)
    history = project.state.open_store(store)
    try:
        if history.newest("coverage").keys() & known:
            click.echo("no row was named: this is what is stored", err=True)
            return []
    finally:
        history.close()
    converters = {cell.converter.id for cell in project.plan().cells}
    click.echo(f"no row was named: measuring those of tier {project.selection.tier}", err=True)
    return [row for row in known if row in converters]


def _show(report: CoverageReport, format_: str) -> None:
    import json

    from matrix.outputs.documents.coverage import document
    from matrix.outputs.terminal import coverage as view

    match format_:
        case "json":
            click.echo(json.dumps(document(report), indent=1))
        case "md":
            click.echo(view.markdown(report))
        case _:
            view.print_coverage(report)


def _end(report: CoverageReport) -> None:
    """Raise what gives the command its exit code."""
    from matrix.core.errors import Indeterminate

    infra = [item.converter for item in report.unmeasured if item.finding.verdict == "infra"]
    if infra:
        raise Indeterminate(
            f"{', '.join(infra)}: not measured (network, disk or engine); that says nothing about them, run the same "
            "command again"
        )
    if (
        report.unmeasured
        and not report.coverages
        and all(u.finding.verdict == "unavailable" for u in report.unmeasured)
    ):
        raise Indeterminate("none of these rows could be measured here; the table says why")
