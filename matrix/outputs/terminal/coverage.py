"""Operator coverage for people: cases by verdict, support by operator and opset, claims that do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from rich.console import Console
from rich.table import Table as RichTable

from matrix.answers.operators.coverage import Status
from matrix.answers.operators.releases import Disagreement, Form, Found, ReleaseCoverage, releases
from matrix.judging.finding import Finding
from matrix.outputs.documents.coverage import CoverageReport, elsewhere
from matrix.outputs.wording import words

# The widest table has nine columns, and a log can be scrolled.
_PIPE_WIDTH = 280
_SAID = 110

_STATUSES: tuple[Status, ...] = get_args(Status)
_STANDINGS = {"claimed-fails": "claimed, fails", "unclaimed-works": "not claimed, works"}
_VERDICTS = tuple(name for name in words.VERDICTS if name not in ("unsatisfiable", "infra"))

LEGEND = (
    "An operator's form is named by the opset since which it exists, and judged by the cases about it alone (a "
    "Constant beside it does no harm). supported: all match; partial: some do (how many of how many); wrong: none does "
    "and some give other numbers; unsupported: none does and the converter says so itself; failing: none does, for "
    "other reasons. Where rows differ, those in brackets differ from most."
)

_SHARES = (
    "match share: of the cases that count, which is all but the unavailable ones; as a scoreboard: the same where "
    "“not implemented” counts as passed; seconds: of the whole row, by the clock."
)

_HEAD = """\
# Operator coverage

Written by `{command}`.

In the environment of each row the ONNX backend test cases that its own onnx package ships (node, simple, and the
operators and modules once converted from PyTorch; not the large real models) were converted and run, each in a process
of its own. They are judged like everything here: by the tolerances of matrix.yml, never by those that come with the
cases; texts byte for byte. What the converter itself says it cannot do is `unsupported`. `unavailable` is a case of
which nothing can be said: its output is drawn at random (a wrong shape or type is still found), its onnx cannot read
it, or its input does not fit its own file."""


@dataclass(frozen=True)
class _Sheet:
    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def print_coverage(report: CoverageReport, console: Console | None = None) -> None:
    """Print to standard output."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH, no_color=True, highlight=False)
    for sheet in _sheets(report):
        table = RichTable(box=None, pad_edge=False, header_style="bold")
        for number, name in enumerate(sheet.columns):
            table.add_column(name, overflow="fold", no_wrap=number == 0)
        for line in sheet.lines:
            # Texts come from environments: nothing in them is markup.
            table.add_row(*(field.replace("[", "\\[") for field in line))
        console.print(sheet.title, style="bold", markup=False)
        if sheet.lines:
            console.print(table)
        for note in sheet.notes:
            console.print(note, markup=False)
        console.print()


def markdown(report: CoverageReport) -> str:
    """For docs, an issue or a CI summary."""
    rows = [*(item.converter for item in report.coverages), *(item.converter for item in report.unmeasured)]
    parts = [_HEAD.format(command=f"python -m matrix coverage {' '.join(rows)} --format md")]
    for sheet in _sheets(report):
        parts.append(f"## {sheet.title}")
        if sheet.lines:
            table = [_line(sheet.columns), "|" + "---|" * len(sheet.columns)]
            parts.append("\n".join([*table, *(_line(map(_escaped, line)) for line in sheet.lines)]))
        parts += sheet.notes
    return "\n\n".join(parts)


def _found(finding: Finding) -> tuple[str, ...]:
    return finding.verdict, finding.stage or "", finding.reason or "", _cut(finding.said)


def _sheets(report: CoverageReport) -> list[_Sheet]:
    sheets = [_counts(report)] if report.coverages else []
    if report.unmeasured:
        lines = tuple((item.converter, *_found(item.finding)) for item in report.unmeasured)
        sheets.append(_Sheet("Not measured", ("row", "verdict", "stage", "reason", "said"), lines))
    for number, release in enumerate(releases(report.coverages)):
        # What the words mean is said once.
        sheets += [_support(release, report, () if number else (LEGEND,)), _disagreements(release, report)]
    return sheets


def _counts(report: CoverageReport) -> _Sheet:
    lines = []
    for coverage in report.coverages:
        counted, (there, here) = coverage.counted, elsewhere(coverage)
        seconds = report.seconds.get(coverage.converter)
        lines.append(
            (
                coverage.converter,
                str(len(coverage.cases)),
                *(str(counted[verdict] or "") for verdict in _VERDICTS),
                f"{here:.1%}",
                f"{there:.1%}",
                f"{seconds:.0f}" if seconds is not None else "",
            )
        )
    columns = ("row", "cases", *_VERDICTS, "match share", "as a scoreboard", "seconds")
    return _Sheet("Cases by verdict", columns, tuple(lines), (_SHARES,))


def _support(release: ReleaseCoverage, report: CoverageReport, legend: tuple[str, ...]) -> _Sheet:
    by_operator: dict[str, list[Form]] = {}
    for form in release.forms:
        by_operator.setdefault(form.operator, []).append(form)
    lines = tuple(
        (
            operator,
            *(", ".join(_in_column(status, forms, report)) for status in _STATUSES),
            ", ".join(str(form.since) for form in forms if not form.found),
        )
        for operator, forms in by_operator.items()
        if any(form.found for form in forms)
    )
    silent = [operator for operator, forms in by_operator.items() if not any(form.found for form in forms)]
    notes = [*legend, f"Rows: {'; '.join(f'{row} ({report.label(row)})' for row in release.rows)}."]
    if silent:
        notes.append(f"No case is about these alone: {', '.join(silent)}.")
    return _Sheet(
        f"{release.package} {release.release}: support by operator and opset",
        ("operator", *_STATUSES, "no case"),
        lines,
        tuple(notes),
    )


def _in_column(status: Status, forms: Sequence[Form], report: CoverageReport) -> list[str]:
    texts = []
    for form in forms:
        most = max((len(found.rows) for found in form.found), default=0)
        usual = sum(len(found.rows) == most for found in form.found) == 1
        for found in form.found:
            if found.status == status:
                counts = f" ({_counted(found)})" if status == "partial" else ""
                named = "" if usual and len(found.rows) == most else f" [{_rows(found.rows, report)}]"
                texts.append(f"{form.since}{counts}{named}")
    return texts


def _counted(found: Found) -> str:
    """`3 of 5`, with each row's own where they differ."""
    return " or ".join(dict.fromkeys(f"{count.matching} of {count.cases}" for count in found.counts))


def _disagreements(release: ReleaseCoverage, report: CoverageReport) -> _Sheet:
    lines = tuple(_disagreement(item, report) for item in release.disagreements)
    silent = sum(form.claimed and not form.found for form in release.forms)
    share = f"{release.agreeing / release.measured:.1%}" if release.measured else "none"
    note = (
        f"{release.agreeing} of {release.measured} claims that a case is about hold ({share}; each row counted by "
        f"itself), {len(lines)} disagreements in all; {silent} forms that it claims have no case. A claim fails where "
        "any case about it alone does."
    )
    columns = ("operator", "since", "claim", "match", "proof", "verdict", "reason", "said", "rows")
    return _Sheet(f"{release.package} {release.release}: claims that measurement contradicts", columns, lines, (note,))


def _disagreement(item: Disagreement, report: CoverageReport) -> tuple[str, ...]:
    claim = item.claim
    assert claim.support is not None and claim.proof is not None
    others = [row for row in item.of if row not in item.rows]
    where = _rows(item.rows, report) if len(others) >= len(item.rows) else "all"
    if others and where == "all":
        where = f"all but {_rows(others, report)}"
    return (
        claim.operator,
        str(claim.since),
        _STANDINGS[claim.standing],
        f"{claim.support.matching} of {claim.support.cases}",
        claim.proof.name,
        claim.proof.finding.verdict,
        claim.proof.finding.reason or "",
        _cut(claim.proof.finding.said),
        where,
    )


def _rows(rows: Sequence[str], report: CoverageReport) -> str:
    """What tells these rows from the others of their release."""
    return "; ".join(report.label(row) for row in rows)


def _line(fields: Iterable[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SAID else one_line[: _SAID - 1] + "…"


def _escaped(text: str) -> str:
    # A message may hold what a page would take for a tag.
    return text.replace("|", "\\|").replace("<", "&lt;")
