"""Choose the conversion to try next until a toolchain is proven. Pure: results in, the next cells out, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from matrix.answers.pick.ranking import Ranked
from matrix.answers.prediction.experience import converter_release
from matrix.answers.remedies.apply import Table, applied
from matrix.answers.remedies.trials import Trial, next_trial
from matrix.judging.cells import CellResult
from matrix.judging.remedy_changes import Change
from matrix.planning.cells import Cell

# Operators that converter/rewriting/spelling.py spells with others, in the ways of them that converters lack.
_SPELLED = frozenset((
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "GRU", "MatMulInteger", "QLinearConv", "QLinearMatMul",
    "QuantizeLinear", "STFT", "com.microsoft.BiasGelu", "com.microsoft.FusedConv", "com.microsoft.Gelu",
    "com.microsoft.QLinearAdd", "com.microsoft.QLinearMul",
))  # fmt: skip

# Stages that do not depend on the file.
_BEFORE = ("lock", "build", "import")

# Remedies of failed cells are tried before toolchains of this class of likelihood or below.
_HOPEFUL = 2

# The share of its probability that a toolchain keeps after a failure of the same release of its converter: with the
# same file, and with another; and after the same failure of two releases.
_SAME_FILE, _SAME_CONVERTER, _ALL_RELEASES = 0.5, 0.7, 0.1

# Less likely toolchains are tried only while nothing is known but predictions: so many conversions.
_WORTH, _BLIND_TRIES = 0.05, 2


@dataclass(frozen=True)
class Proof:
    """A toolchain that converted the model: the cell, with its changes if it needed any."""

    cell: Cell
    result: CellResult


@dataclass
class Picks:
    """Tries `ranked` in order until `prove` of them are proven, with at most `limit` conversions; with `remedy`, failed
    cells are tried again with their remedies. `prepare` turns a candidate into the cell to run, such as one in a
    single environment."""

    ranked: Sequence[Ranked]
    table: Table
    prove: int = 1
    limit: int = 12
    remedy: bool = True
    prepare: Callable[[Cell], Cell] = lambda cell: cell
    _asked: dict[str, tuple[Cell, tuple[Change, ...]]] = field(default_factory=dict)
    _candidates: dict[str, Ranked] = field(default_factory=dict)
    """The candidates asked for, by the id of the cell that was run."""

    def next(self, results: Sequence[CellResult]) -> tuple[Cell, ...]:
        """Return the cell to run next, given the results so far; () if enough is proven or nothing is left."""
        if len(self.proven(results)) >= self.prove or len(self._asked) >= self.limit:
            return ()
        open_ = self._open(results)
        trial = self._eased(results) if self.remedy else None
        if trial is None and self.remedy and (not open_ or open_[0].likelihood >= _HOPEFUL):
            trial = self._trial(results)
        if trial is None:
            if not open_:
                return ()
            trial = self.prepare(open_[0].cell), ()
            self._candidates[trial[0].id] = open_[0]
        self._asked[trial[0].id] = trial
        return (trial[0],)

    def proven(self, results: Sequence[CellResult]) -> list[Proof]:
        """Return the proofs so far, in the order in which their cells were asked for."""
        shown = [result.remedied or result for result in results]
        return [
            Proof(self._asked[result.record.cell][0], result)
            for result in shown
            if result.finding.good and result.record.cell in self._asked
        ]

    @property
    def conversions(self) -> int:
        """The number of cells asked for so far."""
        return len(self._asked)

    def _open(self, results: Sequence[CellResult]) -> list[Ranked]:
        """Return the candidates not asked for yet, in the order of their likelihood after the failures so far."""
        failed = [
            (self._asked[result.record.cell][0], result)
            for result in results
            if result.record.cell in self._asked and _failed(result)
        ]
        tried = {item.cell.id for item in self._candidates.values()}
        rest = [item.less(_doubt(item.cell, failed)) for item in self.ranked if item.cell.id not in tried]
        least = 0.0 if len(self._asked) < _BLIND_TRIES else _WORTH
        # The sort is stable: within a class of likelihood the order of the user's preference stays.
        return sorted((item for item in rest if item.probability > least), key=lambda item: item.likelihood)

    def _eased(self, results: Sequence[CellResult]) -> tuple[Cell, tuple[Change, ...]] | None:
        """Return a candidate that failed as it is, with all that its .onnx file is known to need."""
        for result in results:
            item = self._candidates.get(result.record.cell)
            if item is None or not _failed(result) or result.finding.stage in _BEFORE or item.cell.exporter.writes:
                continue
            # Constants are folded only where the rest was not enough: it may take sizes from the user's hands.
            for fold in (False, True):
                cell, changes = item.cell, list[Change]()
                for change in _needed(item, result, fold):
                    changed = applied(cell, change, result, self.table)
                    if changed is not None:
                        cell = changed
                        changes.append(change)
                if changes and cell.id not in self._asked:
                    return cell, tuple(changes)
        return None

    def _trial(self, results: Sequence[CellResult]) -> tuple[Cell, tuple[Change, ...]] | None:
        for result in results:
            if result.record.cell in self._candidates:
                trials = [
                    Trial(*self._asked[item.record.cell], item)
                    for item in (result, *result.tried)
                    if item.record.cell in self._asked
                ]
                if (proposal := next_trial(trials, self.table, self._asked.keys())) is not None:
                    return proposal
        return None


def _failed(result: CellResult) -> bool:
    return not result.finding.indeterminate and not result.finding.good


def _needed(item: Ranked, result: CellResult, fold: bool) -> Iterator[Change]:
    """Yield the changes that a user's .onnx file needs for a converter, by what is written in it; with `fold`, those
    that compute beforehand what can be, too."""
    facts = result.export.facts
    operators = facts.get("operators")
    if fold:
        yield Change("fix" if facts.get("sizes") else "simplify", True)
    if fold or (isinstance(operators, dict) and not _SPELLED.isdisjoint(operators)):
        # Before it is translated: older opsets do not have what is spelled.
        yield Change("spell", True)
    if item.eased is not None:
        yield Change("ir_version", "table")
        yield Change("convert_opset", f"<={item.eased.opset}")
    if facts.get("unfit_names"):
        yield Change("rename", True)


def _doubt(cell: Cell, failed: Sequence[tuple[Cell, CellResult]]) -> float:
    """Return the share of its probability that a cell keeps after these failures of the same model, from 0 to 1."""
    left = 1.0
    causes: dict[tuple[str | None, str], set[object]] = {}
    for other, result in failed:
        finding = result.finding
        same_file = (cell.exporter.id, cell.opset) == (other.exporter.id, other.opset)
        if finding.role == "exporter":
            if finding.stage == "export":
                alike = same_file
            elif other.exporter.writes:
                # Before the export itself, torch fails, whatever is to be written.
                alike = cell.exporter.torch == other.exporter.torch
            else:
                # The outputs of a torch module are computed in the environment of a row, whatever torch converts it.
                alike = cell.exporter.row == other.exporter.row
        elif finding.stage in _BEFORE:
            alike = cell.converter.id == other.converter.id
        else:
            # What its last trial died of: changes may have removed the first cause.
            last = (result.tried[-1] if result.tried else result).finding
            # The words of a mismatch hold numbers that differ between machines.
            cause = (last.reason, "" if last.verdict == "mismatch" else last.title)
            releases = causes.setdefault(cause, set())
            release = converter_release(other.converter)
            same = converter_release(cell.converter) == release
            # The converter's own word does not depend on the packages beside it; of anything else, two are proof.
            alike = same and same_file and (last.verdict == "unsupported" or release in releases)
            if same:
                left *= _SAME_FILE if same_file else _SAME_CONVERTER
            elif same_file and releases - {release}:
                left *= _ALL_RELEASES
            releases.add(release)
        if alike:
            return 0.0
    return left
