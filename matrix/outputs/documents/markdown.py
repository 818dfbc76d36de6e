"""Markdown tables, and the table of a run for a README, an issue or a CI summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matrix.history.report import RunReport
from matrix.outputs.wording import words
from matrix.outputs.wording.columns import RowColumns


def markdown(report: RunReport) -> str:
    """Return the table of a run."""
    of_now = {side.now.record.cell for side in report.sides}
    plain = [result for result in report.results if result.record.cell not in of_now]
    columns = RowColumns.of(result.family for result in plain)
    headings = ("model", "exporter", "opset", "Python", *columns.titles, "verdict", "where", "reason", "max abs")
    rows = [
        (
            result.record.model,
            result.record.exporter,
            words.opset(result),
            result.python,
            *columns.fields(result.family, result.versions),
            "**match**" if words.verdict(result) == "match" else words.verdict(result),
            words.where(result),
            words.because(result),
            words.max_abs(result),
        )
        for result in plain
    ]
    lines = grid(headings, map(escaped, rows)) if plain or not of_now else []
    if report.sides:
        lines += ["", *_sides(report)]
    lines += ["", f"{words.summary(list(report.results))} of {report.planned} cells."]
    return "\n".join(lines)


def _sides(report: RunReport) -> list[str]:
    """Lay out the cells of now beside those of then."""
    rows = [
        (
            side.now.record.model,
            *words.environments(side),
            words.verdict(side.then) if side.then else "",
            words.verdict(side.now),
            side.standing,
            words.where(side.now),
            report.blames.get(side.now.record.cell) or words.because(side.now),
        )
        for side in report.sides
    ]
    headings = ("model", "moved", "with", "then", f"now {report.as_of}", "standing", "where", "reason")
    return grid(headings, map(escaped, rows))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; `escaped` makes a row of texts fit for it."""
    return [_line(headings), "|" + "---|" * len(headings), *map(_line, rows)]


def escaped(row: Sequence[str]) -> list[str]:
    """Keep texts from ending a field or a line, or starting a tag."""
    return [field.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for field in row]


def _line(fields: Sequence[str]) -> str:
    return "| " + " | ".join(fields) + " |"
