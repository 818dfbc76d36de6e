"""Answer the probes of a search: resolve recipes, and run a cell."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator
from dataclasses import dataclass, field

from matrix.answers.blame.probes import LimitReached
from matrix.answers.blame.types import Blame, Measure, Measured, Probe, ProbeResult, Ranges, Recipe, Resolved
from matrix.answers.remedies.apply import with_ranges
from matrix.app.project import Project
from matrix.app.runtime import RecordedRun
from matrix.core.errors import Indeterminate, Interrupted
from matrix.environments.locks.live import LiveResolver
from matrix.families import family_of
from matrix.judging.cells import CellResult
from matrix.judging.judge import Judgement
from matrix.judging.outcome import UNRECOGNISED
from matrix.judging.remedy_changes import facts
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.planning.other_times import moved_cell, moved_row
from matrix.table.ids import changed_id
from matrix.table.model import Row

# From here on resolving takes long enough to report it.
_MANY = 20

# The names of environments with more ranges than this have a hash instead.
_SPELLED = 3


@dataclass
class ProbeRunner:
    """Probes one cell as of other days. Its row `row` moves in time; `then` is the lock of the row's own time. After
    `deadline` (of time.monotonic) nothing more is run. `cells` are the ids of the cells that were run, by digest of the
    environment.
    """

    project: Project
    run: RecordedRun
    cell: Cell
    row: Row
    then: Lock
    resolver: LiveResolver
    deadline: float | None = None
    cells: dict[str, str] = field(default_factory=dict)

    def conclude(self, search: Generator[Probe, ProbeResult, Blame]) -> Blame:
        """Answer the search until it ends. Raises Interrupted after a signal, LockStale, and Indeterminate if the
        index does not answer or changed meanwhile.
        """
        try:
            probe = next(search)
            while True:
                late = self.deadline is not None and time.monotonic() > self.deadline
                if late and isinstance(probe, Measure):
                    probe = search.throw(LimitReached())
                else:
                    probe = search.send(self._result(probe))
        except StopIteration as end:
            blame = end.value
            assert isinstance(blame, Blame)
            return blame

    def _result(self, probe: Probe) -> ProbeResult:
        if isinstance(probe, Measure):
            return self._measure(probe.environment)
        # For the row's own time only its lock counts.
        others = [recipe for recipe in probe.recipes if recipe != self._own]
        if len(others) > _MANY:
            first, last = others[0].as_of, others[-1].as_of
            self.run.runtime.events.say(f"resolving as of {len(others)} days, {first} to {last}")
        locks = {self._own: self.then, **dict(zip(others, self._locks(others), strict=True))}
        found = ((recipe, locks[recipe]) for recipe in probe.recipes)
        return tuple(Resolved(recipe, lock.digest, lock.packages, lock.explanation) for recipe, lock in found)

    @property
    def _own(self) -> Recipe:
        return Recipe(self.then.as_of)

    def _moved(self, recipe: Recipe) -> Row:
        return moved_row(self.row, _label(recipe), recipe.as_of, self.then.python, dict(recipe.ranges))

    def _locks(self, recipes: list[Recipe]) -> list[Lock]:
        return self.resolver.resolve([self.project.request(self._moved(recipe)) for recipe in recipes])

    def _measure(self, environment: Resolved) -> Measured:
        recipe = environment.recipe
        if recipe == self._own:
            asked = self.cell
        else:
            asked = moved_cell(self.cell, self._moved(recipe))
            # The lock is stored, so that the run can be looked up and repeated.
            [lock] = self._locks([recipe])
            if lock.digest != environment.digest:
                raise Indeterminate(
                    f"{self.row.id} as of {recipe.as_of}: the index changed meanwhile; run the same command again"
                )
            self.project.take_in([asked])
            self.project.use([lock])
            self.run.runtime.store.resolutions.keep(self.run.number, [lock])
        self.cells[environment.digest] = asked.id
        words = f"as of {recipe.as_of}" + "".join(f", {name}{spec}" for name, spec in recipe.ranges[:_SPELLED])
        self.run.runtime.events.say(f"trying {self.row.id} {words}{', …' if len(recipe.ranges) > _SPELLED else ''}")
        if not self.run.run(self.run.runtime.locked((asked,))):
            raise Interrupted("interrupted; results so far are stored, and the same command continues from there")
        return measured(next(item for item in self.run.results() if item.record.cell == asked.id), self.cell)


def measured(result: CellResult, cell: Cell) -> Measured:
    """Return the outcome of a cell that was run, as a search needs it. `cell` is the one at its own time."""
    judgement = result.judgement
    known = facts(family_of(cell.converter).facts(cell.converter.pins))
    hints: list[Ranges] = []
    for remedy in judgement.remedies:
        change = remedy.change.concrete(known) if remedy.change is not None else None
        if change is not None and change.kind == "add" and isinstance(change.value, tuple):
            hints.append(tuple(sorted((package, spec) for package, spec in change.value if spec)))
    return Measured(
        judgement.finding,
        hints=tuple(hint for hint in hints if hint),
        cell=result.record.cell,
        words=_constant(judgement.finding.said or judgement.finding.title) if _says_little(judgement) else "",
    )


def _says_little(judgement: Judgement) -> bool:
    return judgement.finding.verdict != "match" and (
        judgement.general or judgement.finding.reason in (None, UNRECOGNISED)
    )


def _constant(said: str) -> str:
    """Return the words that are the same in every environment: without paths and numbers."""
    return " ".join(re.sub(r"\S*/\S*|0x[0-9a-fA-F]+|\d+(\.\d+)*", "", said).split())


def _label(recipe: Recipe) -> str:
    """Return a short label, different for every recipe."""
    if not recipe.ranges:
        return recipe.as_of.isoformat()
    if len(recipe.ranges) <= _SPELLED:
        return with_ranges(recipe.as_of.isoformat(), dict(recipe.ranges))
    return changed_id(recipe.as_of.isoformat(), [hashlib.sha256(repr(recipe.ranges).encode()).hexdigest()[:8]])
