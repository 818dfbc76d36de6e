"""A stored run as a report: its cells judged by today's rules and compared with what the table expects today."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matrix.history.then_and_now import BothSides
from matrix.judging.cells import CellResult, Judge
from matrix.judging.judge import Judgement
from matrix.packages.lock import Lock
from matrix.store import CellRecord, RunRecord, Store
from matrix.store.records import Resolution
from matrix.table import selectors
from matrix.table.exporters import expand
from matrix.table.model import Config, Expectation
from matrix.table.selectors import Selector


@dataclass(frozen=True)
class RunReport:
    """A finished or interrupted run with its judged cells.

    `complaints` are by cell id. `shards`: the run is a part of a plan that other machines share. Of a run of now:
    `as_of` is the day that now was, `sides` its cells beside those of then, `drift` and `drift_text` the drift report
    as data and as text, `unresolved` by environment why it has no cells of now, and `blames` by cell of now what a
    search for the release that broke it found.
    """

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
    """Report on a run, its cells in `order` (ids) as far as that names them. Return the report, and the cells that the
    table states an expectation for."""
    position = {name: index for index, name in enumerate(order)}
    records = sorted(store.cells(run.id), key=lambda record: position.get(record.cell, len(position)))
    results = judge.cells(records, locks, run.id)
    expectations = Expectations.of(config.expect)
    subjects = _Subjects(config, locks)
    complaints = {}
    stated = set()
    for result in results:
        if result.record.cell_id.moved is not None:
            # Expectations are about rows as they were locked.
            continue
        subject = subjects.of(result.record)
        if found := expectations.complaints(subject, result.judgement, result.opset_written):
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
    """What selectors see of a stored cell; of a row that the table no longer has, only what the record says."""

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


@dataclass(frozen=True)
class Expectations:
    """The expectations of matrix.yml, compiled. Where several are about a cell, all must hold."""

    rules: tuple[tuple[Selector, Expectation], ...]

    @classmethod
    def of(cls, expectations: Iterable[Expectation]) -> Expectations:
        return cls(tuple((selectors.from_mapping(item.cells), item) for item in expectations))

    def speak_of(self, subject: Mapping[str, str]) -> bool:
        """Tell whether the table states an expectation for this cell."""
        return any(selector(subject) for selector, _ in self.rules)

    def complaints(
        self, subject: Mapping[str, str], judgement: Judgement, opset_written: int | None
    ) -> tuple[str, ...]:
        """Return one phrase for each difference. An indeterminate cell contradicts no expectation."""
        if judgement.finding.indeterminate:
            return ()
        about = (expected for selector, expected in self.rules if selector(subject))
        return tuple(dict.fromkeys(c for expected in about for c in _differences(expected, judgement, opset_written)))


def _differences(expected: Expectation, judgement: Judgement, opset_written: int | None) -> list[str]:
    pairs = [
        ("verdict", expected.verdict, judgement.finding.verdict),
        ("role", expected.role, judgement.finding.role),
        ("stage", expected.stage, judgement.finding.stage),
        ("reason", expected.reason, judgement.finding.reason),
        ("opset written", expected.opset_written, opset_written),
    ]
    found = [f"expected {name} {want}, got {got or 'none'}" for name, want, got in pairs if want not in (None, got)]
    if expected.remark is not None and expected.remark not in judgement.remarks:
        found.append(f"expected the remark {expected.remark}, got {', '.join(judgement.remarks) or 'none'}")
    if expected.max_abs is not None:
        measured = judgement.metrics.get("max_abs")
        if not isinstance(measured, int | float) or measured > expected.max_abs:
            found.append(f"expected max abs at most {expected.max_abs:g}, got {measured}")
    return found
