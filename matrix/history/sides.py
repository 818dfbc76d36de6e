"""Cells of now beside the same cells of then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.history.standing import Standing, standing
from matrix.judging.cells import CellResult
from matrix.table.ids import Side


@dataclass(frozen=True)
class BothSides:
    """A cell in which one environment, that of `side`, is of now. `then` is the same cell at its own time, None where
    that was never measured."""

    now: CellResult
    then: CellResult | None
    side: Side

    @property
    def cell(self) -> str:
        """Id of the cell at its own time."""
        return str(self.now.record.cell_id.own)

    @property
    def standing(self) -> Standing:
        """Where the other environment is what fails, then and now, nothing is known of the one that was moved."""
        found = standing(self.then.finding.verdict if self.then else None, self.now.finding.verdict)
        others = self.now.finding.role not in (None, self.side)
        return "not known" if found == "never worked" and others else found


def both_sides(results: Iterable[CellResult], earlier: Mapping[str, CellResult]) -> tuple[BothSides, ...]:
    """Every cell of now among the results, with its other side: of the same run, or else as it was found `earlier`."""
    known = {**earlier, **{result.record.cell: result for result in results}}
    found = []
    for result in known.values():
        cell = result.record.cell_id
        if cell.moved is not None and cell.is_now and result.record.cell not in earlier:
            found.append(BothSides(result, known.get(str(cell.own)), cell.moved))
    return tuple(found)
