"""Cells of now beside the same cells of then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.drift.standing import Standing, standing
from matrix.planning.moved import Side, is_now, moved_side, unmoved
from matrix.results import CellResult


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
        return unmoved(self.now.record.cell)

    @property
    def standing(self) -> Standing:
        """Where the other environment is what fails, then and now, nothing is known of the one that was moved."""
        found = standing(self.then.judgement.verdict if self.then else None, self.now.judgement.verdict)
        others = self.now.judgement.role not in (None, self.side)
        return "not known" if found == "never worked" and others else found


def both_sides(results: Iterable[CellResult], earlier: Mapping[str, CellResult]) -> tuple[BothSides, ...]:
    """Every cell of now among the results, with its other side: of the same run, or else as it was found `earlier`."""
    known = {**earlier, **{result.record.cell: result for result in results}}
    found = []
    for result in known.values():
        side = moved_side(result.record.cell)
        if side is not None and is_now(result.record.cell) and result.record.cell not in earlier:
            found.append(BothSides(result, known.get(unmoved(result.record.cell)), side))
    return tuple(found)
