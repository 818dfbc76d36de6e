"""Prune rows of history that repeat earlier ones. Changes stay forever, repetitions between them for a while."""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrix.history import History, Timeline, read_history
from matrix.history.timelines import Conclusion
from matrix.judging.cells import Judge
from matrix.packages.lock import Lock
from matrix.store import RunRecord, Store
from matrix.store.removal import Duplicate
from matrix.store.runs import utc


@dataclass(frozen=True)
class Pruned:
    """The number of rows removed, and of `runs` that were old enough."""

    runs: int
    cells: int
    observations: int


def prune(store: Store, judge: Judge, locks: Mapping[str, Lock], before: dt.datetime, for_good: bool) -> Pruned:
    """Replace rows of old runs by a reference to the first of the same conclusion if nothing changed in between, and
    remove observations that no row needs. Every run shows the same conclusions as before."""
    history = read_history(store, judge, locks)
    old = {run.id for run in store.runs() if _is_old(run, before)}
    found = list(_duplicates(history, store, old))
    with store.pruning(for_good) as thin:
        thin.fold(found)
        gone = thin.forget_observations(old)
    return Pruned(len(old), len(found), gone)


def superfluous(
    timeline: Timeline, rows: Sequence[int], conclusions: Sequence[Conclusion], is_old: Mapping[int, bool]
) -> Iterator[tuple[int, int]]:
    """Yield rows of a cell between two of the same conclusion, each with the first row of that conclusion. `rows` are
    those of the timeline's runs, negative if a run only refers to that row; `is_old` has, by a run's position, whether
    its duplicates may be removed. Pure.

    Of a change, the last row before and the first after stay. Indeterminate conclusions are not findings, and stay.
    """
    findings = [
        (run, _kind(conclusions[conclusion]), row)
        for (run, conclusion), row in zip(timeline, rows, strict=True)
        if not conclusions[conclusion].finding.indeterminate
    ]
    first = 0
    for place, (run, kind, row) in enumerate(findings):
        if place == 0 or findings[place - 1][1] != kind:
            first = abs(row)
            continue
        last = place == len(findings) - 1 or findings[place + 1][1] != kind
        if not last and row > 0 and is_old[run]:
            yield row, first


def _duplicates(history: History, store: Store, old: set[int]) -> Iterator[Duplicate]:
    is_old = {position: run.id in old for position, run in enumerate(history.runs)}
    runs = [run.id for run in history.runs]
    searched = store.cell_history.searched(runs)
    rows: dict[str, array[int]] = {cell: array("q") for cell in history.timelines}
    of_search: dict[int, tuple[int, ...]] = {}
    for item in store.cell_history.each(runs):
        if item.cell in rows:
            rows[item.cell].append(item.row if item.run == item.origin else -item.row)
            if found := searched.get((item.origin, item.cell)):
                of_search[item.row] = found
    for cell, timeline in history.timelines.items():
        for row, kept in superfluous(timeline, rows[cell], history.conclusions, is_old):
            yield Duplicate(row, of_search.get(row, ()), kept, of_search.get(kept, ()))


def _is_old(run: RunRecord, before: dt.datetime) -> bool:
    return run.status != "running" and utc(run.ended or run.started) < before


def _kind(conclusion: Conclusion) -> tuple[object, ...]:
    return (*conclusion.finding.kind, conclusion.remedied)
