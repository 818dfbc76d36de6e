"""A search is a loop of plans: from what a run has found to the next plan, until there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from matrix.answers.remedies.apply import Table
from matrix.answers.remedies.trials import Trial, next_trial
from matrix.judging.cells import CellResult
from matrix.judging.changes import Change
from matrix.planning import Plan
from matrix.planning.cells import Cell
from matrix.table.ids import ArrayKey


@dataclass
class RemedySearch:
    """What is looked for in the cells of `plan`: the diverging node of a mismatch, and with `remedy` the changes that
    make a failing cell match. It remembers nothing but which cells it asked for."""

    plan: Plan
    table: Table
    remedy: bool
    _asked: dict[str, tuple[Cell, tuple[Change, ...]]] = field(default_factory=dict)

    def next(self, results: Sequence[CellResult]) -> tuple[Cell, ...]:
        """The cells to run next, given what the plan's cells and those asked for came out as."""
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
    """The cell, to be run with its intermediate tensors exposed, in the case that came out worst; None where there is
    nothing to find: only between ONNX Runtime and the converted model in memory do both sides have the same nodes."""
    judgement, made = result.judgement, result.family
    wrong = judgement.finding.verdict == "mismatch" and judgement.leg == made.scheme.converter_leg
    if not wrong or "trace" not in made.capabilities or result.divergence is not None:
        return None
    case = ArrayKey.parse(judgement.worst or "").case
    return replace(cell, base=cell.id, locate=int(case) if case.isdigit() else 0)
