"""The table for a README, an issue or a CI summary."""

from __future__ import annotations

from collections.abc import Sequence

from matrix.history.report import RunReport
from matrix.outputs.wording import sides, words
from matrix.outputs.wording.columns import columns, families_of, versions

_BESIDE = ("model", "moved", "with", "then", "standing", "where", "reason")


def markdown(report: RunReport) -> str:
    of_now = {side.now.record.cell for side in report.sides}
    plain = [result for result in report.results if result.record.cell not in of_now]
    families = families_of(plain)
    packages = columns(families)
    headings = ("model", "exporter", "opset", "Python", *(["family"] if len(families) > 1 else []))
    headings = (*headings, *(package.title for package in packages), "verdict", "where", "reason", "max abs")
    lines = _headed(headings) if plain or not of_now else []
    for result in plain:
        verdict = words.verdict(result)
        fields = (
            result.record.model,
            result.record.exporter,
            words.opset(result),
            result.python,
            *([result.family.name] if len(families) > 1 else []),
            *versions(packages, result.versions),
            f"**{verdict}**" if verdict == "match" else verdict,
            words.where(result),
            words.because(result),
            words.max_abs(result),
        )
        lines.append(_line(fields))
    if report.sides:
        lines += ["", *_sides(report)]
    lines += ["", f"{words.summary(list(report.results))} of {report.planned} cells."]
    return "\n".join(lines)


def _sides(report: RunReport) -> list[str]:
    """Cells of now beside those of then."""
    lines = _headed((*_BESIDE[:4], f"now {report.as_of}", *_BESIDE[4:]))
    for side in report.sides:
        row, other = sides.environments(side)
        then = words.verdict(side.then) if side.then else ""
        because = report.blames.get(side.now.record.cell) or words.because(side.now)
        fields = (side.now.record.model, row, other, then, words.verdict(side.now), side.standing)
        lines.append(_line((*fields, words.where(side.now), because)))
    return lines


def _headed(columns: Sequence[str]) -> list[str]:
    return [_line(columns), "|" + "---|" * len(columns)]


def _line(fields: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(field) for field in fields) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
