"""Read history from the store. Cells are judged by today's rules, those with the same observations once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from matrix.core.gc import uncollected
from matrix.history.regressions import History
from matrix.history.timelines import Conclusion, Timeline
from matrix.judging.cells import CellResult, Judge
from matrix.packages.lock import Lock
from matrix.store import RunRecord, Store
from matrix.store.records import NOT_OF_CELLS
from matrix.table.ids import CellId

# Cells judged at once: the observations of all of them are in memory together.
_TOGETHER = 2_000

Newest = Callable[[CellResult, int], None]


@dataclass(eq=False, slots=True)
class _Basis:
    """The records that one or more runs concluded a cell from: the row of its own, and those of a search for it.
    `conclusion` is its position among the conclusions, -1 until it is judged."""

    cell: str
    row: int
    searched: tuple[int, ...]
    conclusion: int = -1


# Of one cell: each basis with the positions of the runs that concluded from it, in order.
_Bases = list[tuple[_Basis, list[int]]]


def read_history(
    store: Store,
    judge: Judge,
    locks: Mapping[str, Lock],
    newest: Newest | None = None,
    wanted: Callable[[str], bool] = lambda cell: True,
    current: Callable[[str], bool] = lambda environment: True,
) -> History:
    """Read the cells of every run that decided any, both as of their own time and of now, without those a search tried.

    `newest` is called with the newest result of every cell and the position of its run, in the order of cell ids.
    `wanted` selects cells by id; `current` tells by its name whether the table still has a row or an exporter.
    """
    # A million objects are created and none is freed: collecting would only cost time.
    with uncollected():
        runs = [run for run in reversed(store.runs()) if run.tier not in NOT_OF_CELLS]
        decided = _decided(store, [run.id for run in runs], wanted)
        runs = _only_present(runs, decided.values())
        judging = _Judging(store, judge, locks)
        latest = {cell: max(bases, key=lambda item: item[1][-1]) for cell, bases in decided.items()}
        for basis, result in judging.of([basis for basis, _ in latest.values()]):
            if newest is not None:
                position = latest[basis.cell][1][-1]
                cached = all(seen.run != runs[position].id for seen in result.observations)
                newest(replace(result, cached=cached), position)
        for layer in _layers(decided.values()):
            for _ in judging.of(layer):
                pass
        timelines = {cell: _timeline(bases) for cell, bases in decided.items()}
    return History(tuple(runs), tuple(judging.conclusions), timelines, current)


def _decided(store: Store, runs: list[int], wanted: Callable[[str], bool]) -> dict[str, _Bases]:
    """Return by cell, sorted, its bases in `runs`, by position."""
    positions = {run: position for position, run in enumerate(runs)}
    searched = store.cell_history.searched(runs)
    counts: dict[str, bool] = {}
    found: dict[str, dict[tuple[object, ...], tuple[_Basis, list[int]]]] = {}
    for cell, export, reference, convert, row, numbers, origin in store.cell_history.grouped(runs):
        if cell not in counts:
            named = CellId.parse(cell)
            counts[cell] = (named.moved is None or named.is_now) and wanted(cell)
        if not counts[cell]:
            continue
        rows = searched.get((origin, cell), ()) if origin is not None else ()
        bases = found.setdefault(cell, {})
        key = (export, reference, convert, rows)
        if key not in bases:
            bases[key] = _Basis(cell, row, rows), []
        bases[key][1].extend(positions[number] for number in numbers)
    for bases in found.values():
        for _, at in bases.values():
            at.sort()
    return {cell: list(found[cell].values()) for cell in sorted(found)}


def _only_present(runs: list[RunRecord], of_cells: Collection[_Bases]) -> list[RunRecord]:
    """Return the runs that decided any of the cells; positions are changed to those in this list."""
    present = sorted({position for bases in of_cells for _, at in bases for position in at})
    if len(present) < len(runs):
        places = {position: place for place, position in enumerate(present)}
        for bases in of_cells:
            for _, at in bases:
                at[:] = [places[position] for position in at]
    return [runs[position] for position in present]


def _timeline(bases: _Bases) -> Timeline:
    timeline = Timeline()
    for position, number in sorted((position, number) for number, (_, at) in enumerate(bases) for position in at):
        timeline.runs.append(position)
        timeline.conclusions.append(bases[number][0].conclusion)
        timeline.rows.append(bases[number][0].row)
    return timeline


def _layers(of_cells: Iterable[_Bases]) -> Iterator[list[_Basis]]:
    """Yield what is not judged yet, in lists that hold no cell twice."""
    left = [[basis for basis, _ in bases if basis.conclusion < 0] for bases in of_cells]
    depth = 0
    while layer := [bases[depth] for bases in left if depth < len(bases)]:
        yield layer
        depth += 1


class _Judging:
    """Fill in conclusions. Equal ones are kept once, numbered in `conclusions`."""

    def __init__(self, store: Store, judge: Judge, locks: Mapping[str, Lock]) -> None:
        self._store = store
        self._judge = judge
        self._locks = locks
        self.conclusions: dict[Conclusion, int] = {}

    def of(self, bases: list[_Basis]) -> Iterator[tuple[_Basis, CellResult]]:
        """Yield the results in this order; no two may be of the same cell."""
        for start in range(0, len(bases), _TOGETHER):
            part = bases[start : start + _TOGETHER]
            rows = [row for basis in part for row in (basis.row, *basis.searched)]
            records = self._store.cell_history.records(rows)
            results = self._judge.cells([records[row] for row in rows], self._locks, 0)
            for basis, result in zip(part, results, strict=True):
                basis.conclusion = self.conclusions.setdefault(_conclusion_of(result), len(self.conclusions))
                yield basis, result


def _conclusion_of(result: CellResult) -> Conclusion:
    remedied = result.remedied
    words = tuple(words for _, words in remedied.record.changes) if remedied is not None else None
    return Conclusion(result.finding.without_words(), words)
