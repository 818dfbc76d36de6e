"""Two runs held against each other: the same conclusions for the same reasons, and the same numbers.

Pure: the results are judged already, and comparing two files of arrays is handed in as a function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from matrix.judging.cells import CellResult
from matrix.judging.judge import ARRAYS_MISSING, REPEAT, Judgement, Leg, files_of
from matrix.store import RunRecord

State = Literal["equal", "differs", "not-comparable"]
Answer = Literal["equal", "different", "indeterminate"]

# (model, blob of the first run, blob of the second run) -> Leg; the first run is the reference.
CompareArrays = Callable[[str, str, str], Leg]


@dataclass(frozen=True)
class Arrays:
    """A file of arrays that both runs kept of a cell. `leg` is None where both are the same bytes."""

    file: str
    blobs: tuple[str, str]
    leg: Leg | None

    @property
    def reason(self) -> str | None:
        """Why these are not the same numbers; None where they are, within tolerance."""
        return self.leg.reason if self.leg else None

    def metric(self, name: str) -> float | None:
        """A metric of verdicts/metrics.py; None where it was not measured, or nothing had to be."""
        value = self.leg.metrics.get(name) if self.leg else None
        return None if value is None else float(value)  # infinity is stored as text


@dataclass(frozen=True)
class CellPair:
    """A cell that both runs decided. `lone` are files of arrays that one of them lacks, with the number of the run
    that has them."""

    one: CellResult
    two: CellResult
    arrays: tuple[Arrays, ...] = ()
    lone: tuple[tuple[str, int], ...] = ()

    @property
    def cell(self) -> str:
        return self.one.record.cell

    @property
    def same_conclusion(self) -> bool:
        return _conclusion(self.one.judgement) == _conclusion(self.two.judgement) and self._same_remedy

    @property
    def _same_remedy(self) -> bool:
        """Where both runs looked for one."""
        if not all(any(not trial.finding.indeterminate for trial in side.tried) for side in (self.one, self.two)):
            return True
        return _remedy(self.one) == _remedy(self.two)

    @property
    def same_observations(self) -> bool:
        """Whether one of the runs merely repeats what the other observed."""
        first, second = self.one.record, self.two.record
        return (first.export, first.reference, first.convert) == (second.export, second.reference, second.convert)

    @property
    def regressed(self) -> bool:
        """Whether the cell matched in the first run, and was seen not to in the second."""
        one, two = self.one.judgement, self.two.judgement
        return one.finding.verdict == "match" and two.finding.verdict != "match" and not two.finding.indeterminate

    @property
    def mended(self) -> bool:
        one, two = self.one.judgement, self.two.judgement
        return two.finding.verdict == "match" and one.finding.verdict != "match" and not one.finding.indeterminate

    @property
    def unavailable(self) -> bool:
        return self.one.finding.verdict == self.two.finding.verdict == "unavailable"

    @property
    def evidence(self) -> bool:
        """Whether both sides say something. What neither machine could measure, for one and the same reason, is equal;
        every other indeterminate verdict says nothing."""
        if self.one.finding.indeterminate or self.two.finding.indeterminate:
            return self.unavailable and self.same_conclusion
        return True

    @property
    def state(self) -> State:
        if not self.evidence:
            return "not-comparable"
        reasons = {arrays.reason for arrays in self.arrays} - {None}
        if not self.same_conclusion or reasons - {ARRAYS_MISSING}:
            return "differs"
        # A file that is gone from the store proves nothing in either direction.
        return "not-comparable" if reasons else "equal"


@dataclass(frozen=True)
class RunComparison:
    """What two runs have in common and what not. `lone` are the cells only the first and only the second decided;
    with `common` they do not matter."""

    runs: tuple[RunRecord, RunRecord]
    pairs: tuple[CellPair, ...]
    lone: tuple[tuple[str, ...], tuple[str, ...]]
    common: bool = False

    @cached_property
    def states(self) -> Counter[State]:
        return Counter(pair.state for pair in self.pairs)

    @property
    def unavailable(self) -> int:
        """Cells that count as equal because neither side could measure them, for the same reason."""
        return sum(pair.unavailable and pair.state == "equal" for pair in self.pairs)

    @property
    def regressed(self) -> int:
        """Cells that matched in the first run and do not in the second."""
        return sum(pair.regressed for pair in self.pairs)

    @property
    def mended(self) -> int:
        return sum(pair.mended for pair in self.pairs)

    @property
    def repeated(self) -> int:
        """Cells of which nothing was measured twice."""
        return sum(pair.same_observations for pair in self.pairs)

    @property
    def unreached(self) -> tuple[int, int]:
        """Cells each run planned and did not decide."""
        one, two = (
            max(0, run.planned - len(self.pairs) - len(lone)) for run, lone in zip(self.runs, self.lone, strict=True)
        )
        return one, two

    @property
    def answer(self) -> Answer:
        if self.states["differs"] or (any(self.lone) and not self.common):
            return "different"
        # Equality is claimed only of what was seen: not of cells that say nothing, nor of those never reached.
        measured = any(not pair.unavailable for pair in self.pairs)
        if self.states["not-comparable"] or not measured or (any(self.unreached) and not self.common):
            return "indeterminate"
        return "equal"

    @property
    def files(self) -> tuple[int, int]:
        """How many distinct pairs of files were compared, and how many of those are the same bytes."""
        seen = {(arrays.file, arrays.blobs): arrays.leg is None for pair in self.pairs for arrays in pair.arrays}
        return len(seen), sum(seen.values())

    def largest(self, metric: str) -> tuple[CellPair, Arrays, float] | None:
        """Where a metric is largest; None where it was measured nowhere."""
        measured = [
            (pair, arrays, value)
            for pair in self.pairs
            for arrays in pair.arrays
            if (value := arrays.metric(metric)) is not None
        ]
        return max(measured, key=lambda item: item[2], default=None)


def compare_runs(
    runs: tuple[RunRecord, RunRecord],
    results: tuple[Sequence[CellResult], Sequence[CellResult]],
    compare: CompareArrays,
    common: bool = False,
) -> RunComparison:
    """Hold the judged cells of two runs against each other, in the order of the first run."""
    first, second = ({result.record.cell: result for result in side} for side in results)
    pairs = tuple(_pair(first[cell], second[cell], runs, compare) for cell in first if cell in second)
    lone = tuple(cell for cell in first if cell not in second), tuple(cell for cell in second if cell not in first)
    return RunComparison(runs, pairs, lone, common)


def _pair(one: CellResult, two: CellResult, runs: tuple[RunRecord, RunRecord], compare: CompareArrays) -> CellPair:
    pair = CellPair(one, two)
    # Numbers that change from one second to the next cannot be the same twice.
    if not pair.evidence or REPEAT in one.judgement.legs:
        return pair
    arrays: list[Arrays] = []
    lone: list[tuple[str, int]] = []
    ours, theirs = _files(one), _files(two)
    for name in dict.fromkeys([*ours, *theirs]):
        if name in ours and name in theirs:
            blobs = ours[name], theirs[name]
            leg = None if blobs[0] == blobs[1] else compare(one.record.model, *blobs)
            arrays.append(Arrays(name, blobs, leg))
        else:
            lone.append((name, runs[0 if name in ours else 1].id))
    return CellPair(one, two, tuple(arrays), tuple(lone))


def _files(result: CellResult) -> dict[str, str]:
    """The arrays of a cell by file name. `again.npz` is no result of its own: it only repeats the reference."""
    found = files_of(result.export, result.reference, result.convert)
    return {name: blob for name, blob in found.items() if name not in ("again.npz", "given.npz")}


def _remedy(result: CellResult) -> tuple[tuple[str, str], ...] | None:
    return result.remedied.record.changes if result.remedied is not None else None


def _conclusion(judgement: Judgement) -> tuple[str | None, ...]:
    return judgement.finding.verdict, judgement.finding.role, judgement.finding.stage, judgement.finding.reason
