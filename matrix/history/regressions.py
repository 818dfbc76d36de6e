"""What changed between runs: which cells broke or were mended, and which of them broke alike. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from matrix.history.timelines import Conclusion, Timeline
from matrix.store import RunRecord
from matrix.table.ids import CellId
from matrix.table.model import Role

CellChangeKind = Literal["broke", "mended", "changed", "new"]


@dataclass(frozen=True)
class CellChange:
    """A cell whose conclusion differs from its previous finding. Runs and conclusions by position; `before` is None for
    a cell that no earlier run has a finding on."""

    cell: str
    kind: CellChangeKind
    run: int
    after: int
    before: int | None = None
    before_run: int | None = None


@dataclass(frozen=True)
class Regression:
    """Cells that matched in their findings before `run`, broke there in the same way, and have not matched since.

    `key` is the same in every run; `environment` is the row at fault; `new` means that no later run decided the cells.
    `changes` are in the order of `cells`.
    """

    key: str
    run: int
    before_run: int
    role: Role | None
    environment: str
    stage: str | None
    reason: str | None
    title: str
    changes: tuple[CellChange, ...]
    new: bool

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(change.cell for change in self.changes)


# Environment, role, stage and reason: cells that break alike in all of them are one regression.
_Fault = tuple[str, Role | None, str | None, str | None]


@dataclass(frozen=True)
class History:
    """Runs oldest first, every conclusion once, and timelines by cell id, sorted. `current` tells whether the table
    still has a row or an exporter: a regression of one that it no longer has is retired, as it is not measured again.
    """

    runs: tuple[RunRecord, ...]
    conclusions: tuple[Conclusion, ...]
    timelines: Mapping[str, Timeline]
    current: Callable[[str], bool] = lambda environment: True

    def changes(self, run: int) -> list[CellChange]:
        """Return the changes that the run at this position found, by cell."""
        return self._changes.get(run, [])

    def silent(self, run: int) -> int:
        """Count the cells that the run at this position left indeterminate."""
        return self._silent[run]

    def regressions(self) -> list[Regression]:
        """Return the open regressions, newest first, then by number of cells."""
        return [found for found in self._unmended if self.current(found.environment)]

    def retired(self) -> frozenset[str]:
        """Return the keys of regressions that would be open if the table still had their row."""
        return frozenset(found.key for found in self._unmended if not self.current(found.environment))

    def mended(self) -> frozenset[str]:
        """Return the keys of past regressions of which a cell has matched again."""
        found = set()
        for changes in self._of_cells.values():
            broke: CellChange | None = None
            for change in changes:
                if change.kind == "broke":
                    broke = change
                elif change.kind == "mended" and broke is not None:
                    found.add(_regression_key(self._fault(broke)))
                    broke = None
        return frozenset(found)

    def grouped(self, changes: list[CellChange]) -> list[Regression]:
        """Group changes that broke cells: those of one run with the same fault are one regression."""
        together: dict[tuple[int, _Fault], list[CellChange]] = {}
        for change in changes:
            together.setdefault((change.run, self._fault(change)), []).append(change)
        found = []
        for (run, fault), items in together.items():
            environment, role, stage, reason = fault
            found.append(
                Regression(
                    key=_regression_key(fault),
                    run=run,
                    before_run=max(change.before_run or 0 for change in items),
                    role=role,
                    environment=environment,
                    stage=stage,
                    reason=reason,
                    title=self.conclusions[items[0].after].finding.title,
                    changes=tuple(items),
                    new=all(self.timelines[change.cell].newest[0] == run for change in items),
                )
            )
        return sorted(found, key=lambda item: (-item.run, -len(item.changes), item.environment, item.key))

    def until(self, run: int) -> History:
        """Return the history as of the run at this position, with the cells that it decided."""
        kept = {cell: timeline.until(run) for cell, timeline in self.timelines.items() if run in timeline.runs}
        return History(self.runs[: run + 1], self.conclusions, kept, self.current)

    def _fault(self, change: CellChange) -> _Fault:
        found = self.conclusions[change.after].finding
        return CellId.parse(change.cell).environment_of(found.role), found.role, found.stage, found.reason

    @cached_property
    def _unmended(self) -> list[Regression]:
        """Regressions of cells that matched once and have not matched since."""
        last = (
            next((change for change in reversed(changes) if change.kind in ("broke", "mended")), None)
            for changes in self._of_cells.values()
        )
        return self.grouped([change for change in last if change is not None and change.kind == "broke"])

    @cached_property
    def _of_cells(self) -> dict[str, list[CellChange]]:
        """The changes of every cell, in the order of its runs."""
        return {cell: list(self._of_cell(cell, timeline)) for cell, timeline in self.timelines.items()}

    @cached_property
    def _indeterminate(self) -> frozenset[int]:
        return frozenset(number for number, item in enumerate(self.conclusions) if item.finding.indeterminate)

    def _of_cell(self, cell: str, timeline: Timeline) -> Iterator[CellChange]:
        # Numbers are compared first: of millions of entries nearly all equal the one before.
        indeterminate, run_before, before = self._indeterminate, -1, -1
        for run, number in timeline:
            # A run that could not measure the cell is skipped, so that it neither breaks nor mends it.
            if number in indeterminate:
                continue
            if before < 0:
                yield CellChange(cell, "new", run, number)
            elif number != before:
                old, new = self.conclusions[before], self.conclusions[number]
                if not new.same(old):
                    yield CellChange(cell, _kind(old, new), run, number, before, run_before)
            run_before, before = run, number

    @cached_property
    def _changes(self) -> dict[int, list[CellChange]]:
        found: dict[int, list[CellChange]] = {}
        for changes in self._of_cells.values():
            for change in changes:
                found.setdefault(change.run, []).append(change)
        return found

    @cached_property
    def _silent(self) -> Counter[int]:
        indeterminate = self._indeterminate
        return Counter(run for line in self.timelines.values() for run, number in line if number in indeterminate)


def _regression_key(fault: _Fault) -> str:
    """Hash what stays the same in every run, whichever cells are affected."""
    return hashlib.sha256("\n".join(part or "" for part in fault).encode()).hexdigest()[:24]


def _kind(before: Conclusion, after: Conclusion) -> CellChangeKind:
    if before.finding.good != after.finding.good:
        return "mended" if after.finding.good else "broke"
    return "changed"
