"""Cells with one environment resolved now, beside the same cells as resolved at their own time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from matrix.judging.cells import CellResult
from matrix.judging.finding import INDETERMINATE
from matrix.table.ids import Side
from matrix.table.model import Verdict

DriftStanding = Literal["works then and now", "worked then, broken now", "never worked", "mended", "not known"]


def drift_standing(then: Verdict | None, now: Verdict | None) -> DriftStanding:
    """Classify a cell by both verdicts. Only a match counts as working; a verdict that is missing or indeterminate on
    either side gives "not known"."""
    if then is None or now is None or {then, now} & INDETERMINATE:
        return "not known"
    if then == "match":
        return "works then and now" if now == "match" else "worked then, broken now"
    return "mended" if now == "match" else "never worked"


@dataclass(frozen=True)
class BothSides:
    """A cell in which one environment, that of `side`, is resolved now. `then` is the same cell at its own time, None
    where that was never measured."""

    now: CellResult
    then: CellResult | None
    side: Side

    @property
    def cell(self) -> str:
        """The id of the cell at its own time."""
        return str(self.now.record.cell_id.own)

    @property
    def standing(self) -> DriftStanding:
        """The standing of the moved environment: unknown where the other one fails then and now."""
        found = drift_standing(self.then.finding.verdict if self.then else None, self.now.finding.verdict)
        others = self.now.finding.role not in (None, self.side)
        return "not known" if found == "never worked" and others else found


def both_sides(results: Iterable[CellResult], earlier: Mapping[str, CellResult]) -> tuple[BothSides, ...]:
    """Return every cell of now among the results with its counterpart, from the same run or else from `earlier`."""
    known = {**earlier, **{result.record.cell: result for result in results}}
    found = []
    for result in known.values():
        cell = result.record.cell_id
        if cell.moved is not None and cell.is_now and result.record.cell not in earlier:
            found.append(BothSides(result, known.get(str(cell.own)), cell.moved))
    return tuple(found)
