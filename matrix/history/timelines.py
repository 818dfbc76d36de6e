"""History as data: what every cell came to, run by run, and what changed. Pure."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from matrix.history.conclusions import Conclusion
from matrix.store import RunRecord
from matrix.table.ids import CellId
from matrix.table.model import Role

Kind = Literal["broke", "mended", "changed", "new"]


@dataclass(frozen=True)
class Timeline:
    """Of one cell, oldest run first: positions of the runs that decided it, of what it came to in each, and the rows of
    the store that say so. Arrays: there may be millions."""

    runs: array[int] = field(default_factory=lambda: array("H"))
    conclusions: array[int] = field(default_factory=lambda: array("I"))
    rows: array[int] = field(default_factory=lambda: array("q"))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.runs, self.conclusions, strict=True)

    @property
    def newest(self) -> tuple[int, int]:
        """Run and conclusion."""
        return self.runs[-1], self.conclusions[-1]

    def row(self, run: int) -> int:
        """Of the run at this position."""
        return self.rows[self.runs.index(run)]

    def until(self, run: int) -> Timeline:
        """Without what came after the run at this position."""
        end = bisect_right(self.runs, run)
        return Timeline(self.runs[:end], self.conclusions[:end], self.rows[:end])

    def changes(self) -> list[tuple[int, int]]:
        """Run and conclusion, only where it is another one than that before."""
        found: list[tuple[int, int]] = []
        for run, conclusion in self:
            if not found or found[-1][1] != conclusion:
                found.append((run, conclusion))
        return found


@dataclass(frozen=True)
class CellChange:
    """A cell that came to something else than its last finding before said. Runs and conclusions by position; `before`
    is None for a cell that no run had found anything about."""

    cell: str
    kind: Kind
    run: int
    after: int
    before: int | None = None
    before_run: int | None = None


@dataclass(frozen=True)
class Regression:
    """Cells that matched in their findings before `run`, broke there in one and the same way, and have not matched
    since. `key` stays the same from one night to the next; `environment` is the row it is about; `new` where no later
    run decided them. `changes` are theirs, in the order of `cells`."""

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


@dataclass(frozen=True)
class History:
    """Runs oldest first, every conclusion once, and timelines by cell id, sorted. `current` says whether the table
    still has a row or an exporter: what nobody will measure again can neither be mended nor stand."""

    runs: tuple[RunRecord, ...]
    conclusions: tuple[Conclusion, ...]
    timelines: Mapping[str, Timeline]
    current: Callable[[str], bool] = lambda environment: True

    def changes(self, run: int) -> list[CellChange]:
        """What the run at this position found otherwise than before, by cell."""
        return self._changes.get(run, [])

    def silent(self, run: int) -> int:
        """How many cells the run at this position left indeterminate."""
        return self._silent.get(run, 0)

    def regressions(self) -> list[Regression]:
        """Those that stand, newest first, then by how many cells they are about."""
        return [found for found in self._unmended if self.current(found.environment)]

    def retired(self) -> frozenset[str]:
        """Keys of those that would stand if the table still had their row."""
        return frozenset(found.key for found in self._unmended if not self.current(found.environment))

    def mended(self) -> frozenset[str]:
        """Keys of regressions that stood once, and of which a cell was seen to match again."""
        found = set()
        for cell, changes in self._of_cells.items():
            broke: CellChange | None = None
            for change in changes:
                if change.kind == "broke":
                    broke = change
                elif change.kind == "mended" and broke is not None:
                    after = self.conclusions[broke.after]
                    where = CellId.parse(cell).environment_of(after.finding.role)
                    found.add(regression_key(where, after.finding.role, after.finding.stage, after.finding.reason))
                    broke = None
        return frozenset(found)

    def grouped(self, changes: list[CellChange]) -> list[Regression]:
        """Changes that broke cells, those of one run in one way as one regression."""
        together: dict[tuple[int, str, Role | None, str | None, str | None], list[CellChange]] = {}
        for change in changes:
            after = self.conclusions[change.after]
            where = CellId.parse(change.cell).environment_of(after.finding.role)
            key = change.run, where, after.finding.role, after.finding.stage, after.finding.reason
            together.setdefault(key, []).append(change)
        found = [
            Regression(
                regression_key(environment, role, stage, reason),
                run,
                max(change.before_run or 0 for change in items),
                role,
                environment,
                stage,
                reason,
                self.conclusions[items[0].after].finding.title,
                tuple(items),
                all(self.timelines[change.cell].newest[0] == run for change in items),
            )
            for (run, environment, role, stage, reason), items in together.items()
        ]
        return sorted(found, key=lambda item: (-item.run, -len(item.changes), item.environment, item.key))

    def until(self, run: int) -> History:
        """As it was after the run at this position, of the cells that it decided."""
        kept = {cell: timeline.until(run) for cell, timeline in self.timelines.items() if run in timeline.runs}
        return History(self.runs[: run + 1], self.conclusions, kept, self.current)

    @cached_property
    def _unmended(self) -> list[Regression]:
        standing = map(self._standing, self._of_cells.values())
        return self.grouped([change for change in standing if change is not None])

    def _standing(self, changes: list[CellChange]) -> CellChange | None:
        """The change that broke a cell which matched once and does not any more, out of all of that cell."""
        found = None
        for change in changes:
            if change.kind == "broke":
                found = change
            elif change.kind == "mended":
                found = None
        return found

    @cached_property
    def _of_cells(self) -> dict[str, list[CellChange]]:
        """The changes of every cell, in the order of its runs."""
        return {cell: list(self._of_cell(cell, timeline)) for cell, timeline in self.timelines.items()}

    @cached_property
    def _mute(self) -> frozenset[int]:
        """Conclusions that say nothing."""
        return frozenset(number for number, item in enumerate(self.conclusions) if item.finding.indeterminate)

    def _of_cell(self, cell: str, timeline: Timeline) -> Iterator[CellChange]:
        # Of millions of results nearly all are what they were before.
        mute, run_before, before = self._mute, -1, -1
        for run, number in timeline:
            # What could not be measured says nothing about what is.
            if number in mute:
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
    def _silent(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for timeline in self.timelines.values():
            for run, conclusion in timeline:
                if conclusion in self._mute:
                    found[run] = found.get(run, 0) + 1
        return found


def regression_key(environment: str, role: Role | None, stage: str | None, reason: str | None) -> str:
    """Stable from night to night, whatever cells are about it."""
    parts = "\n".join((environment, role or "", stage or "", reason or ""))
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def _kind(before: Conclusion, after: Conclusion) -> Kind:
    if before.finding.good != after.finding.good:
        return "mended" if after.finding.good else "broke"
    return "changed"
