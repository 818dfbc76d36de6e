"""Compare two runs: whether they reach the same conclusions for the same reasons, and compute the same numbers.

Pure: the results are already judged, and comparing two files of arrays is passed in as a function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from matrix.judging.cells import CellResult
from matrix.judging.judge import ARRAYS_MISSING, REPEAT, Leg, files_of
from matrix.store import RunRecord

PairState = Literal["equal", "differs", "not-comparable"]
ComparisonAnswer = Literal["equal", "different", "indeterminate"]

# (model, blob of the first run, blob of the second run) -> Leg; the first run is the reference.
CompareArrays = Callable[[str, str, str], Leg]


@dataclass(frozen=True)
class ArraysPair:
    """A file of arrays that both runs kept of a cell. `leg` is None where both are the same bytes."""

    file: str
    blobs: tuple[str, str]
    leg: Leg | None

    @property
    def reason(self) -> str | None:
        """Why the numbers differ; None where they are equal within tolerance."""
        return self.leg.reason if self.leg else None

    def metric(self, name: str) -> float | None:
        """Return a metric of `judging.metrics`; None where it was not measured, or did not need to be."""
        value = self.leg.metrics.get(name) if self.leg else None
        return None if value is None else float(value)  # infinity is stored as text


@dataclass(frozen=True)
class CellPair:
    """A cell that both runs decided. `lone` are the files of arrays that only one run has, with its number."""

    one: CellResult
    two: CellResult
    arrays: tuple[ArraysPair, ...] = ()
    lone: tuple[tuple[str, int], ...] = ()

    @property
    def cell(self) -> str:
        return self.one.record.cell

    @property
    def same_conclusion(self) -> bool:
        """Whether the findings mean the same and, where both runs searched for a remedy, it is the same too."""
        sides = self.one, self.two
        if self.one.finding.kind != self.two.finding.kind:
            return False
        searched = all(any(not trial.finding.indeterminate for trial in side.tried) for side in sides)
        return not searched or _remedy(self.one) == _remedy(self.two)

    @property
    def same_observations(self) -> bool:
        """Whether one of the runs reused the observations of the other."""
        first, second = self.one.record, self.two.record
        return (first.export, first.reference, first.convert) == (second.export, second.reference, second.convert)

    @property
    def regressed(self) -> bool:
        """Whether the cell matched in the first run and failed in the second."""
        return self.one.finding.good and _failed(self.two)

    @property
    def mended(self) -> bool:
        """Whether the cell failed in the first run and matched in the second."""
        return _failed(self.one) and self.two.finding.good

    @property
    def unavailable(self) -> bool:
        return self.one.finding.verdict == self.two.finding.verdict == "unavailable"

    @property
    def evidence(self) -> bool:
        """Whether both sides are evidence. A cell that neither run could measure, for the same reason, counts as equal;
        any other indeterminate finding is no evidence."""
        if self.one.finding.indeterminate or self.two.finding.indeterminate:
            return self.unavailable and self.same_conclusion
        return True

    @property
    def state(self) -> PairState:
        if not self.evidence:
            return "not-comparable"
        reasons = {arrays.reason for arrays in self.arrays} - {None}
        if not self.same_conclusion or reasons - {ARRAYS_MISSING}:
            return "differs"
        # A file that is missing from the store proves nothing either way.
        return "not-comparable" if reasons else "equal"


@dataclass(frozen=True)
class RunComparison:
    """The comparison of two runs. `lone` are the cells that only the first and only the second decided; with `common`
    they are ignored."""

    runs: tuple[RunRecord, RunRecord]
    pairs: tuple[CellPair, ...]
    lone: tuple[tuple[str, ...], tuple[str, ...]]
    common: bool = False

    @cached_property
    def states(self) -> Counter[PairState]:
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
        """Cells that were measured in one of the runs only."""
        return sum(pair.same_observations for pair in self.pairs)

    @property
    def unreached(self) -> tuple[int, int]:
        """How many cells each run planned but did not decide."""
        one, two = (
            max(0, run.planned - len(self.pairs) - len(lone)) for run, lone in zip(self.runs, self.lone, strict=True)
        )
        return one, two

    @property
    def answer(self) -> ComparisonAnswer:
        if self.states["differs"] or (any(self.lone) and not self.common):
            return "different"
        # Runs are equal only if every cell was measured: none indeterminate, none left undecided.
        measured = any(not pair.unavailable for pair in self.pairs)
        if self.states["not-comparable"] or not measured or (any(self.unreached) and not self.common):
            return "indeterminate"
        return "equal"

    @property
    def files(self) -> tuple[int, int]:
        """How many distinct pairs of files were compared, and how many of those are byte-identical."""
        seen = {(arrays.file, arrays.blobs): arrays.leg is None for pair in self.pairs for arrays in pair.arrays}
        return len(seen), sum(seen.values())

    def largest(self, metric: str) -> tuple[CellPair, ArraysPair, float] | None:
        """Find where a metric is largest; None where it was never measured."""
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
    """Compare the judged cells of two runs, in the order of the first."""
    first, second = ({result.record.cell: result for result in side} for side in results)
    pairs = tuple(_pair(first[cell], second[cell], runs, compare) for cell in first if cell in second)
    lone = tuple(cell for cell in first if cell not in second), tuple(cell for cell in second if cell not in first)
    return RunComparison(runs, pairs, lone, common)


def _pair(one: CellResult, two: CellResult, runs: tuple[RunRecord, RunRecord], compare: CompareArrays) -> CellPair:
    pair = CellPair(one, two)
    # A model that is not deterministic cannot give the same numbers twice.
    if not pair.evidence or REPEAT in one.judgement.legs:
        return pair
    arrays: list[ArraysPair] = []
    lone: list[tuple[str, int]] = []
    ours, theirs = _files(one), _files(two)
    for name in dict.fromkeys([*ours, *theirs]):
        if name in ours and name in theirs:
            blobs = ours[name], theirs[name]
            leg = None if blobs[0] == blobs[1] else compare(one.record.model, *blobs)
            arrays.append(ArraysPair(name, blobs, leg))
        else:
            lone.append((name, runs[0 if name in ours else 1].id))
    return CellPair(one, two, tuple(arrays), tuple(lone))


def _files(result: CellResult) -> dict[str, str]:
    """Return the arrays of a cell by file name, without the inputs given and the repetition of the reference."""
    found = files_of(result.export, result.reference, result.convert)
    return {name: blob for name, blob in found.items() if name not in ("again.npz", "given.npz")}


def _remedy(result: CellResult) -> tuple[tuple[str, str], ...] | None:
    return result.remedied.record.changes if result.remedied is not None else None


def _failed(result: CellResult) -> bool:
    return not result.finding.good and not result.finding.indeterminate
