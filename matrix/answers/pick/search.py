"""Which conversion to try next until a toolchain is proven. Pure: what was found in, the next cells out, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from matrix.answers.pick.ranking import Ranked
from matrix.answers.prediction.rows import converter_release
from matrix.answers.remedies.apply import Table
from matrix.answers.remedies.trials import Trial, next_trial
from matrix.judging.cells import CellResult
from matrix.judging.changes import Change
from matrix.planning.cells import Cell

# Before a less likely toolchain than this is tried, what failed is tried again with what would help it.
_HOPEFUL = 2

# How far a failure speaks against the same model elsewhere: in another converter that is given the same file, and in
# one of the same release of its converter that is given another.
_SAME_FILE, _SAME_CONVERTER = 0.5, 0.7


@dataclass(frozen=True)
class Proof:
    """A toolchain that was seen to convert the model: the cell, with its changes where it needed any."""

    cell: Cell
    result: CellResult


@dataclass
class Picks:
    """Tries `ranked` in order until `prove` of them are proven, with at most `limit` conversions; with `remedy` what
    failed is tried again with what would help it. `prepare` turns a candidate into the cell to run, such as one in a
    single environment."""

    ranked: Sequence[Ranked]
    table: Table
    prove: int = 1
    limit: int = 12
    remedy: bool = True
    prepare: Callable[[Cell], Cell] = lambda cell: cell
    _asked: dict[str, tuple[Cell, tuple[Change, ...]]] = field(default_factory=dict)
    _candidates: dict[str, Ranked] = field(default_factory=dict)
    """Those that were asked for, by the id of the cell that was run."""

    def next(self, results: Sequence[CellResult]) -> tuple[Cell, ...]:
        """The cell to run next, given what those asked for came out as; none where it is proven, or nothing is left."""
        if len(self.proven(results)) >= self.prove or len(self._asked) >= self.limit:
            return ()
        open_ = self._open(results)
        trial = None
        if self.remedy and (not open_ or open_[0].likelihood >= _HOPEFUL):
            trial = self._trial(results)
        if trial is not None:
            self._asked[trial[0].id] = trial
            return (trial[0],)
        if not open_:
            return ()
        cell = self.prepare(open_[0].cell)
        self._asked[cell.id] = (cell, ())
        self._candidates[cell.id] = open_[0]
        return (cell,)

    def proven(self, results: Sequence[CellResult]) -> list[Proof]:
        """What is proven so far, in the order it was asked for."""
        found = []
        for result in results:
            shown = result.remedied or result
            if shown.finding.verdict == "match" and shown.record.cell in self._asked:
                found.append(Proof(self._asked[shown.record.cell][0], shown))
        return found

    @property
    def conversions(self) -> int:
        """Cells asked for so far."""
        return len(self._asked)

    def _open(self, results: Sequence[CellResult]) -> list[Ranked]:
        """What was not asked for, those first that no failure so far speaks against."""
        failed = [
            (self._asked[result.record.cell][0], result)
            for result in results
            if result.record.cell in self._asked and not result.finding.indeterminate
        ]
        tried = {item.cell.id for item in self._candidates.values()}
        rest = [item.less(_doubt(item.cell, failed)) for item in self.ranked if item.cell.id not in tried]
        # Stable: within a class of likely the user's preference stays.
        return sorted((item for item in rest if item.prediction.probability > 0), key=lambda item: item.likelihood)

    def _trial(self, results: Sequence[CellResult]) -> tuple[Cell, tuple[Change, ...]] | None:
        for result in results:
            if result.record.cell not in self._candidates:
                continue
            cell = self._asked[result.record.cell][0]
            tried = [
                Trial(*self._asked[item.record.cell], item) for item in result.tried if item.record.cell in self._asked
            ]
            if (proposal := next_trial([Trial(cell, (), result), *tried], self.table, self._asked.keys())) is not None:
                return proposal
        return None


def _doubt(cell: Cell, failed: Sequence[tuple[Cell, CellResult]]) -> float:
    """What failures of the same model leave of a probability: 1 for all of it."""
    left = 1.0
    for other, result in failed:
        judgement = result.judgement
        if judgement.finding.verdict == "match":
            continue
        same_file = (cell.exporter.id, cell.opset) == (other.exporter.id, other.opset)
        if judgement.finding.role == "exporter":
            # Before the export itself it is torch that fails, whatever was to be written.
            if judgement.finding.stage == "export":
                alike = same_file
            elif other.exporter.writes:
                alike = cell.exporter.torch == other.exporter.torch
            else:
                # What the torch module computes is asked in the environment of a row, whatever torch converts it.
                alike = cell.exporter.row == other.exporter.row
            left *= 0.0 if alike else 1.0
        elif judgement.finding.stage in ("lock", "build", "import"):
            left *= 0.0 if cell.converter.id == other.converter.id else 1.0
        elif converter_release(cell.converter) == converter_release(other.converter):
            left *= _SAME_FILE if same_file else _SAME_CONVERTER
    return left
