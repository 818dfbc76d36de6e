"""Then and now side by side: one line for each cell, and which environment of it was moved."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from rich.console import Group
from rich.table import Table
from rich.text import Text

from matrix.answers.drift import DriftStanding
from matrix.history.report import RunReport
from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult
from matrix.outputs.wording import words
from matrix.table.ids import CellId

_STYLES: dict[DriftStanding, str] = {
    "works then and now": "green",
    "worked then, broken now": "bold red",
    "never worked": "dim red",
    "mended": "bold green",
    "not known": "dim",
}

_STANDINGS: tuple[DriftStanding, ...] = get_args(DriftStanding)


def table(report: RunReport) -> Group:
    """The cells of now, in their order."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    several_models = len({side.now.record.model for side in report.sides}) > 1
    columns = [
        *(["model"] if several_models else []),
        "moved",
        "with",
        "opset",
        "python",
        "then",
        f"now {report.as_of}",
    ]
    for name in (*columns, "standing", "where", "reason"):
        grid.add_column(name, no_wrap=name != "reason")
    for side in report.sides:
        row, other = environments(side)
        grid.add_row(
            *([side.now.record.model] if several_models else []),
            row,
            other,
            words.opset(side.now),
            ".".join(side.now.export.python.split(".")[:2]) if side.side == "exporter" else side.now.python,
            _verdict(side.then),
            _verdict(side.now),
            Text(side.standing, style=_STYLES[side.standing]),
            words.where(side.now),
            words.because(side.now),
        )
    counted = Counter(side.standing for side in report.sides)
    told = ", ".join(f"{counted[name]} {name}" for name in _STANDINGS if counted[name])
    blamed = [Text.assemble((cell, "bold"), f"\n    {told}") for cell, told in report.blames.items()]
    hint = _next(report)
    return Group(grid, Text(""), Text(told, style="bold"), *blamed, *([Text(hint, style="dim")] if hint else []))


def environments(side: BothSides) -> tuple[str, str]:
    """The row that was moved, and the one that it was measured with."""
    cell = CellId.parse(side.cell)
    exporter, converter = str(cell.exporter), str(cell.row)
    return (exporter, converter) if side.side == "exporter" else (converter, exporter)


def _verdict(result: CellResult | None) -> Text:
    if result is None:
        return Text("not measured", style="dim")
    return Text(words.verdict(result), style=words.style(result))


def _next(report: RunReport) -> str:
    """What to do about what was seen."""
    if report.blames:
        return "more about one of them: python -m matrix show CELL"
    broken = next((s for s in report.sides if s.standing == "worked then, broken now"), None)
    if broken is not None:
        return f"who broke it, and what cures it: python -m matrix blame '{broken.now.record.cell}'"
    if any(side.then is None for side in report.sides):
        return "to measure then too: --resolution both"
    return ""
