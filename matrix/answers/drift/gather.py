"""Compare a run of now with the last one, with the cells of then, and with the index of today."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, islice
from typing import Any

from matrix.answers.drift.incidents import KINDS, Incident, incidents
from matrix.answers.drift.report import RowDrift, row_drift
from matrix.answers.evidence.derive import identity_of, lock_identity
from matrix.app.project import Project
from matrix.environments.locks.request import Request
from matrix.history.then_and_now import BothSides, both_sides
from matrix.judging.cells import CellResult, Judge
from matrix.packages.index import Releases
from matrix.packages.lock import Lock
from matrix.store import Store
from matrix.table.ids import EnvironmentName

# How many earlier runs are searched for a determinate result, and for incidents already reported.
_BACK = 30

# Other kinds cannot change for a committed lock, which was resolved as of its day.
_OF_THEN = frozenset({"yanked", "file-gone"})


@dataclass
class Past:
    """The history of a store as of one run."""

    project: Project
    store: Store
    judge: Judge
    run: int

    def newest(self, cells: Iterable[str]) -> dict[str, CellResult]:
        """Return the results of these cells before this run, each from the newest run that decided it."""
        found = {}
        for run, records in self.store.newest_cells(cells, before=self.run).items():
            for result in self.judge.cells(records, self.project.locks, run):
                found[result.record.cell] = result
        return found

    def decided(self, cells: Iterable[str]) -> dict[str, CellResult]:
        """Return the last determinate results of these cells that a drift report could compare with. Runs that could
        not measure a cell, or ended before their report, hide no change.
        """
        found: dict[str, CellResult] = {}
        left = {self.run: set(cells)}
        # By time: runs of other machines may have been imported later.
        order = {run.id: place for place, run in enumerate(self.store.runs())}
        for _ in range(_BACK):
            if not left:
                break
            latest = min(left, key=order.__getitem__)
            for run, records in self.store.newest_cells(left.pop(latest), before=latest, told=True).items():
                for result in self.judge.cells(records, self.project.locks, run):
                    if result.finding.indeterminate:
                        left.setdefault(run, set()).add(result.record.cell)
                    else:
                        found[result.record.cell] = result
        return found

    def reported(self, names: Collection[str]) -> set[tuple[str, str, str, str]]:
        """Return the incidents in the last report about each of these rows, as (row, kind, package, version)."""
        found: set[tuple[str, str, str, str]] = set()
        left = set(names)
        since = dropwhile(lambda item: item.id != self.run, self.store.runs())
        earlier = (item.id for item in since if item.id != self.run and item.as_of is not None)
        for report in islice(filter(None, map(self.store.drift, earlier)), _BACK):
            rows: list[Mapping[str, Any]] = [row for row in report["rows"] if row["row"] in left]
            for row in rows:
                found |= {(row["row"], item["kind"], item["package"], item["version"]) for item in row["incidents"]}
            left -= {row["row"] for row in rows}
            if not left:
                break
        return found


def beside_then(past: Past, results: Sequence[CellResult]) -> tuple[BothSides, ...]:
    """Pair the run's cells of now with the results of the same cells of then under their present locks."""
    known = {result.record.cell_id for result in results}
    wanted = {str(cell.own) for cell in known if cell.moved is not None} - {str(cell) for cell in known}
    earlier = {name: item for name, item in past.newest(wanted).items() if _has_present_locks(item, past.project)}
    return both_sides(results, earlier)


def drifts(
    past: Past, locks: Sequence[Lock], results: Sequence[CellResult], unresolved: Collection[str] = ()
) -> tuple[RowDrift, ...]:
    """Compare every environment resolved as of now with the last run that has a report, and add incidents on the index.
    For the committed locks of the same rows, and of those `unresolved`, add incidents since. Raises Indeterminate if
    the index does not answer.
    """
    project = past.project
    before = past.store.resolutions.newest((lock.name for lock in locks), before=past.run, told=True)
    after = {result.record.cell: result for result in results}
    were = past.decided(after)
    own = {EnvironmentName.parse(name).row.stem for name in (*(lock.name for lock in locks), *unresolved)}
    rows = [row for row in (*project.config.exporters, *project.config.converters) if row.id in own]
    then = [lock for row in rows if (lock := project.lock_of(row)) is not None]
    requests = {request.name: request for request in project.requests(lock.name for lock in (*locks, *then))}
    pages = Releases(project.settings).of_all(_packages((*locks, *then), requests))
    reported = past.reported({lock.name for lock in (*locks, *then)})

    def of(lock: Lock, previous: Lock | None, kinds: Collection[str] = KINDS) -> list[tuple[Incident, ...]]:
        seen = incidents(lock, requests[lock.name], pages, previous, project.settings.elsewhere)
        wanted = [item for item in seen if item.kind in kinds]
        old = {item for item in wanted if (lock.name, item.kind, item.package, item.version) in reported}
        return [tuple(i for i in wanted if i not in old), tuple(i for i in wanted if i in old)]

    found = []
    for lock in locks:
        mine = {cell: result for cell, result in after.items() if lock.name in project.environments_of(result.record)}
        found.append(
            row_drift(
                lock.name,
                before.get(lock.name),
                lock,
                {cell: were[cell].finding for cell in mine if cell in were},
                {cell: result.finding for cell, result in mine.items()},
                *of(lock, before.get(lock.name)),
            )
        )
    for lock in then:
        happened = of(lock, None, _OF_THEN)
        if any(happened):
            found.append(row_drift(lock.name, lock, lock, {}, {}, *happened))
    return tuple(found)


def _packages(locks: Iterable[Lock], requests: Mapping[str, Request]) -> set[str]:
    found: set[str] = set()
    for lock in locks:
        found |= lock.packages.keys() or {package for package, _ in requests[lock.name].pinned}
    return found


def _has_present_locks(result: CellResult, project: Project) -> bool:
    """Return whether a cell was measured with the present locks of its rows."""
    names = project.environments_of(result.record)
    for name, part in zip(names, (result.export, result.convert), strict=True):
        if part is None:
            continue
        # Without a solution nothing was installed.
        was = lock_identity(part.python, part.installed) if part.installed else ""
        lock = project.locks.get(name)
        if lock is None or was != identity_of(lock):
            return False
    return True
