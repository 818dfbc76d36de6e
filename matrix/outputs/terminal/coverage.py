"""Operator coverage for people: cases by verdict, support by operator and opset, claims that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from rich.console import Console
from rich.text import Text

from matrix.answers.operators.coverage import Status
from matrix.answers.operators.releases import Disagreement, Form, Found, ReleaseCoverage, releases
from matrix.judging.finding import Finding
from matrix.outputs.documents.coverage import CoverageReport, elsewhere
from matrix.outputs.documents.markdown import escaped
from matrix.outputs.documents.markdown import grid as markdown_grid
from matrix.outputs.terminal.console import grid, open_console
from matrix.outputs.wording import words

# The widest table has nine columns; a log can be scrolled.
_PIPE_WIDTH = 280
_SAID = 110

_STATUSES: tuple[Status, ...] = get_args(Status)
_STANDINGS = {"claimed-fails": "claimed, fails", "unclaimed-works": "not claimed, works"}
_VERDICTS = tuple(name for name in words.VERDICTS if name not in ("unsatisfiable", "infra"))

LEGEND = (
    "A form of an operator is named by the opset that introduced it, and judged by the cases that test only it (a "
    "Constant beside it is allowed). supported: all match; partial: some match (how many of how many); wrong: none "
    "matches and some give other numbers; unsupported: none matches and the converter reports it as unsupported; "
    "failing: none matches, for other reasons. If rows differ, those in brackets differ from most."
)

_SHARES = (
    "match share: share of the cases that count (all except the unavailable ones); as a scoreboard: the same, with "
    "“not implemented” counted as passed; seconds: elapsed time for the whole row."
)

_HEAD = """\
# Operator coverage

Written by `{command}`.

In the environment of each row, the ONNX backend test cases shipped with its onnx package (node, simple, and the
operators and modules once converted from PyTorch; not the large real models) were converted and run, each in its own
process. They are judged by the tolerances of matrix.yml, not by those that come with the cases; strings must be equal
byte for byte. `unsupported` means that the converter itself reports it. `unavailable` means that a case cannot be
judged: its output is random (a wrong shape or type is still found), its onnx cannot read it, or its input does not fit
its file."""


@dataclass(frozen=True)
class _Sheet:
    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def print_coverage(report: CoverageReport, console: Console | None = None) -> None:
    """Print to standard output."""
    console = open_console(_PIPE_WIDTH, console)
    for sheet in _sheets(report):
        table = grid(sheet.columns, wrapping=sheet.columns[1:])
        for line in sheet.lines:
            # Texts come from environments and must not be read as markup.
            table.add_row(*map(Text, line))
        console.print(sheet.title, style="bold", markup=False)
        if sheet.lines:
            console.print(table)
        for note in sheet.notes:
            console.print(note, markup=False)
        console.print()


def markdown(report: CoverageReport) -> str:
    """Return the report for docs, an issue or a CI summary."""
    rows = [*(item.converter for item in report.coverages), *(item.converter for item in report.unmeasured)]
    parts = [_HEAD.format(command=f"python -m matrix coverage {' '.join(rows)} --format md")]
    for sheet in _sheets(report):
        parts.append(f"## {sheet.title}")
        if sheet.lines:
            parts.append("\n".join(markdown_grid(sheet.columns, map(escaped, sheet.lines))))
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
        # Only the first table needs the legend.
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
        notes.append(f"No case tests only these: {', '.join(silent)}.")
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
    """Return `3 of 5`, for each row if they differ."""
    return " or ".join(dict.fromkeys(f"{count.matching} of {count.cases}" for count in found.counts))


def _disagreements(release: ReleaseCoverage, report: CoverageReport) -> _Sheet:
    lines = tuple(_disagreement(item, report) for item in release.disagreements)
    silent = sum(form.claimed and not form.found for form in release.forms)
    share = f"{release.agreeing / release.measured:.1%}" if release.measured else "none"
    note = (
        f"{release.agreeing} of {release.measured} claims tested by a case hold ({share}; each row counts); "
        f"{len(lines)} disagreements in total; {silent} claimed forms have no case. A claim fails if any case about it "
        "alone fails."
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
    """Describe how these rows differ from the others of their release."""
    return "; ".join(report.label(row) for row in rows)


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SAID else one_line[: _SAID - 1] + "…"
