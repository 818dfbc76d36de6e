"""A stored run as a report: its cells judged now and held against what the table expects now."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matrix.history.sides import BothSides
from matrix.judging.cells import CellResult, Judge
from matrix.judging.expect import Expectations
from matrix.packages.lock import Lock
from matrix.store import CellRecord, RunRecord, Store
from matrix.store.records import Resolution
from matrix.table.exporters import expand
from matrix.table.model import Config


@dataclass(frozen=True)
class RunReport:
    """A finished (or interrupted) run with its judged cells. `complaints` by cell id. Of a run of now: the day that now
    was, the cells beside those of then, the drift report (views/drift.py) as data and as text, and by cell of now what
    was found out about who changed it; `unresolved` says why an environment has no cells of now. `shards` where it is a
    part of a plan that other machines share."""

    run: int
    status: str
    tier: str
    engine: str
    jobs_run: int
    jobs_cached: int
    planned: int
    results: Sequence[CellResult]
    complaints: Mapping[str, tuple[str, ...]]
    resolution: Resolution = "then"
    as_of: dt.date | None = None
    sides: Sequence[BothSides] = ()
    drift: Mapping[str, Any] | None = None
    drift_text: str = ""
    unresolved: Mapping[str, str] = field(default_factory=dict)
    blames: Mapping[str, str] = field(default_factory=dict)
    shards: bool = False


def report_on(
    run: RunRecord,
    store: Store,
    judge: Judge,
    config: Config,
    locks: Mapping[str, Lock],
    order: Sequence[str] = (),
) -> tuple[RunReport, frozenset[str]]:
    """The report, its cells in `order` (ids) as far as that names them, and the cells the table states something of."""
    position = {name: index for index, name in enumerate(order)}
    records = sorted(store.cells(run.id), key=lambda record: position.get(record.cell, len(position)))
    results = judge.cells(records, locks, run.id)
    expectations = Expectations.of(config.expect)
    subjects = _Subjects(config, locks)
    complaints = {}
    stated = set()
    for result in results:
        if result.record.cell_id.moved is not None:
            # What is expected is expected of the row as it was locked.
            continue
        subject = subjects.of(result.record)
        found = expectations.complaints(subject, result.judgement, result.opset_written)
        if found:
            complaints[result.record.cell] = found
        if expectations.speak_of(subject):
            stated.add(result.record.cell)
    report = RunReport(
        run=run.id,
        status=run.status,
        tier=run.tier,
        engine=run.engine,
        jobs_run=run.jobs_run,
        jobs_cached=run.jobs_cached,
        planned=run.planned,
        results=results,
        complaints=complaints,
        resolution=run.resolution,
        as_of=run.as_of,
        shards=any(part.shard for part in run.parts),
    )
    return report, frozenset(stated)


class _Subjects:
    """What selectors see of a stored cell; of a row that is gone from the table only what the record says."""

    def __init__(self, config: Config, locks: Mapping[str, Lock]) -> None:
        self._exporters = {exporter.id: exporter.subject for exporter in expand(config)}
        self._converters = {row.id: row.pins for row in config.converters}
        self._locks = locks

    def of(self, record: CellRecord) -> dict[str, str]:
        lock = self._locks.get(record.converter)
        return {
            **self._converters.get(record.converter, {}),
            **self._exporters.get(record.exporter, {"exporter": record.exporter, "torch": record.torch}),
            "model": record.model,
            "opset": str(record.opset),
            "converter": record.converter,
            "python": lock.python if lock else "",
            "cell": record.cell,
        }
