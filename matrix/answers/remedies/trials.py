"""Choose what to try next for cells that fail: a pure function of what was tried.

Breadth first, so that the changes found are few. If several changes together work, each subset is tried too, so that no
needless change is recommended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from matrix.answers.remedies.apply import Table, applied
from matrix.judging.cells import CellResult
from matrix.judging.remedy_changes import Change
from matrix.planning.cells import Cell

MAX_CHANGES = 3
MAX_TRIALS = 8


@dataclass(frozen=True)
class Trial:
    """A cell with changes, and its result. The first trial of a cell is the cell itself, without changes."""

    cell: Cell
    changes: tuple[Change, ...]
    result: CellResult

    @property
    def works(self) -> bool:
        return self.result.finding.verdict == "match"

    @property
    def failed(self) -> bool:
        return not self.works and not self.result.finding.indeterminate


def next_trial(
    trials: Sequence[Trial], table: Table, dropped: Set[str] = frozenset()
) -> tuple[Cell, tuple[Change, ...]] | None:
    """Return what to try next for a cell, given its trials, the cell itself first; None if nothing is left."""
    if not trials[0].failed:
        return None
    seen = {frozenset(trial.changes) for trial in trials}
    made = {_made(trial.cell) for trial in trials}
    working = [trial for trial in trials if trial.works]
    if not working and len(trials) > MAX_TRIALS:
        return None
    proposals = _parts(min(working, key=_size), trials, table) if working else _more(trials, table)
    for cell, changes in proposals:
        # Different changes may give the same cell: an opset below 13 and one below 12 may both mean 11.
        if frozenset(changes) not in seen and _made(cell) not in made and cell.id not in dropped:
            return cell, changes
    return None


def _size(trial: Trial) -> int:
    return len(trial.changes)


def _made(cell: Cell) -> tuple[object, ...]:
    return cell.exporter.id, cell.exporter.row, cell.opset, cell.converter.id, frozenset(cell.alterations), cell.environ


def _more(trials: Sequence[Trial], table: Table) -> Iterator[tuple[Cell, tuple[Change, ...]]]:
    """Yield cells with one more change that their own failure suggests, those with the fewest changes first."""
    for trial in sorted(trials, key=_size):
        if trial.failed and _size(trial) < MAX_CHANGES:
            for remedy in trial.result.judgement.remedies:
                if remedy.change is not None:
                    cell = applied(trial.cell, remedy.change, trial.result, table)
                    if cell is not None:
                        yield cell, (*trial.changes, remedy.change)


def _parts(working: Trial, trials: Sequence[Trial], table: Table) -> Iterator[tuple[Cell, tuple[Change, ...]]]:
    """Yield the cell with fewer of the changes that work together, each applied in the role it had in the whole."""
    bare = trials[0]
    made = {trial.changes: trial.result.finding.role for trial in trials}
    roles = {change: made.get(working.changes[:index]) for index, change in enumerate(working.changes)}
    for size in range(1, len(working.changes)):
        for changes in combinations(working.changes, size):
            cell: Cell | None = bare.cell
            for change in changes:
                cell = applied(cell, change, bare.result, table, roles[change]) if cell is not None else None
            if cell is not None:
                yield cell, changes
