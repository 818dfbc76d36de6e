"""Search for remedies by a loop of plans: from the results so far to the next cells, until there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from matrix.answers.remedies.apply import Table
from matrix.answers.remedies.trials import Trial, next_trial
from matrix.judging.cells import CellResult
from matrix.judging.remedy_changes import Change
from matrix.planning import Plan
from matrix.planning.cells import Cell
from matrix.table.ids import ArrayKey


@dataclass
class RemedySearch:
    """Searches the cells of `plan` for the diverging node of a mismatch and, with `remedy`, for changes that make a
    failing cell match. Its only state is which cells it asked for.
    """

    plan: Plan
    table: Table
    remedy: bool
    _asked: dict[str, tuple[Cell, tuple[Change, ...]]] = field(default_factory=dict)

    def next(self, results: Sequence[CellResult]) -> tuple[Cell, ...]:
        """Return the cells to run next, given the results of the plan's cells and of those asked for."""
        cells = {cell.id: cell for cell in self.plan.cells}
        further: list[Cell] = []
        for result in results:
            cell = cells.get(result.record.cell)
            if cell is None:
                continue
            if (located := to_locate(cell, result)) is not None and located.id not in self._asked:
                self._asked[located.id] = (located, ())
                further.append(located)
            trials = self._trials(cell, result)
            proposal = next_trial(trials, self.table, self._asked.keys()) if self.remedy else None
            if proposal is not None:
                self._asked[proposal[0].id] = proposal
                further.append(proposal[0])
        return tuple(further)

    def _trials(self, cell: Cell, result: CellResult) -> list[Trial]:
        tried = (
            Trial(*self._asked[item.record.cell], item) for item in result.tried if item.record.cell in self._asked
        )
        return [Trial(cell, (), result), *tried]


def to_locate(cell: Cell, result: CellResult) -> Cell | None:
    """Return the cell with its intermediate tensors exposed, in the case with the worst result. None if there is
    nothing to locate: only ONNX Runtime and the converted model in memory have the same nodes.
    """
    judgement, made = result.judgement, result.family
    wrong = judgement.finding.verdict == "mismatch" and judgement.leg == made.scheme.converter_leg
    if not wrong or "trace" not in made.capabilities or result.divergence is not None:
        return None
    case = ArrayKey.parse(judgement.worst or "").case
    return replace(cell, base=cell.id, locate=int(case) if case.isdigit() else 0)
