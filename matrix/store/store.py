"""Reading and writing history. Rows are added, never changed, but for the end of a run."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import func, null, select, update
from sqlalchemy.orm import Session

from matrix.config.model import Limits, Role
from matrix.store.blames import Blames
from matrix.store.blobs import Blobs
from matrix.store.database import connect
from matrix.store.records import (
    CellRecord,
    JobKind,
    Observation,
    Resolution,
    RunRecord,
    obstacle_from,
    passes_from,
)
from matrix.store.resolutions import Resolutions
from matrix.store.schema import CellRow, DerivedRow, ObservationRow, RunRow

_CHUNK = 500


class Store:
    """The database at `url` and the blobs beside it."""

    def __init__(self, url: str, blobs: Path) -> None:
        self._engine = connect(url)
        self.resolutions = Resolutions(self._engine)
        self.blames = Blames(self._engine)
        self.blobs = Blobs(blobs)
        self.name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.blobs.used_by(self.name)

    # -- runs

    def begin_run(
        self,
        tier: str,
        engine: str,
        command: str,
        planned: int,
        host: Mapping[str, Any],
        resolution: Resolution = "then",
        as_of: dt.date | None = None,
    ) -> int:
        """Open a run. Runs that a killed driver of the same `host["state"]` left open are closed as `killed`."""
        with Session(self._engine) as session, session.begin():
            for left in session.scalars(select(RunRow).where(RunRow.status == "running")):
                if left.host.get("state") == host.get("state"):
                    left.status = "killed"
            row = RunRow(
                started=dt.datetime.now(dt.UTC),
                status="running",
                tier=tier,
                engine=engine,
                command=command,
                planned=planned,
                host=dict(host),
                resolution=resolution,
                as_of=as_of,
            )
            session.add(row)
            session.flush()
            return row.id

    def end_run(self, run: int, status: str, jobs_run: int, jobs_cached: int, planned: int | None = None) -> None:
        """Close a run. `planned` where only its end shows how many cells it was about."""
        values = {"status": status, "jobs_run": jobs_run, "jobs_cached": jobs_cached}
        if planned is not None:
            values["planned"] = planned
        with Session(self._engine) as session, session.begin():
            session.execute(update(RunRow).where(RunRow.id == run).values(ended=dt.datetime.now(dt.UTC), **values))

    def runs(self) -> list[RunRecord]:
        """All runs, newest first."""
        with Session(self._engine) as session:
            return [_run(row) for row in session.scalars(select(RunRow).order_by(RunRow.id.desc()))]

    def run(self, number: int) -> RunRecord:
        """One run. Raises NoResultFound."""
        with Session(self._engine) as session:
            return _run(session.scalars(select(RunRow).where(RunRow.id == number)).one())

    def keep_drift(self, run: int, document: Mapping[str, Any]) -> None:
        """Store the drift report of a run; another day's index would say something else."""
        with Session(self._engine) as session, session.begin():
            session.execute(update(RunRow).where(RunRow.id == run).values(drift=dict(document)))

    def drift(self, run: int) -> dict[str, Any] | None:
        """The drift report of a run, None where it has none."""
        with Session(self._engine) as session:
            return session.scalar(select(RunRow.drift).where(RunRow.id == run))

    # -- observations

    def add(
        self,
        run: int,
        observation: Observation,
        finding: bool,
        bounded: Literal["timeout", "oom"] | None,
    ) -> int:
        """Store an observation in one transaction and return its id."""
        with Session(self._engine) as session, session.begin():
            row = ObservationRow(
                run=run,
                job=observation.job,
                kind=observation.kind,
                role=observation.role,
                environment=observation.environment,
                environment_id=observation.environment_id,
                finding=finding,
                limits_seconds=observation.limits_seconds,
                limits_memory_mb=observation.limits_memory_mb,
                bounded=bounded,
                created=observation.created,
                payload=observation.payload(),
            )
            session.add(row)
            session.flush()
            return row.id

    def finding(self, job: str, limits: Limits) -> Observation | None:
        """The newest finding of a job that holds under `limits`; a limit seen to be too tight says nothing of a
        wider one."""
        with Session(self._engine) as session:
            rows = session.scalars(
                select(ObservationRow)
                .where(ObservationRow.job == job, ObservationRow.finding)
                .order_by(ObservationRow.id.desc())
            )
            for row in rows:
                if row.bounded == "timeout" and limits.seconds > row.limits_seconds:
                    continue
                if row.bounded == "oom" and limits.memory_mb > row.limits_memory_mb:
                    continue
                return _observation(row)
        return None

    def newest(self, kind: JobKind) -> dict[str, Observation]:
        """By name of the environment the newest finding of a kind of job, whatever engine and lock it had."""
        newest = (
            select(func.max(ObservationRow.id))
            .where(ObservationRow.kind == kind, ObservationRow.finding)
            .group_by(ObservationRow.environment)
        )
        with Session(self._engine) as session:
            rows = session.scalars(select(ObservationRow).where(ObservationRow.id.in_(newest)))
            return {row.environment: _observation(row) for row in rows}

    def observations(self, ids: Iterable[int]) -> dict[int, Observation]:
        wanted = sorted(set(ids))
        found: dict[int, Observation] = {}
        with Session(self._engine) as session:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in session.scalars(select(ObservationRow).where(ObservationRow.id.in_(chunk))):
                    found[row.id] = _observation(row)
        return found

    def blobs_named(self) -> set[str]:
        """Every blob some observation names."""
        named: set[str] = set()
        with Session(self._engine) as session:
            for payload in session.scalars(select(ObservationRow.payload).execution_options(yield_per=_CHUNK)):
                for record in passes_from(payload):
                    named |= {record.log, *record.files.values()}
        return named

    # -- cells

    def add_cells(self, run: int, cells: Sequence[CellRecord]) -> None:
        with Session(self._engine) as session, session.begin():
            session.add_all(
                CellRow(
                    run=run,
                    cell=item.cell,
                    model=item.model,
                    exporter=item.exporter,
                    torch=item.torch,
                    opset=item.opset,
                    converter=item.converter,
                    export=item.export,
                    reference=item.reference,
                    convert=item.convert,
                    base=item.base,
                    further={
                        "changes": [list(change) for change in item.changes],
                        "alter": list(item.alter),
                        "expose": item.expose,
                        "trace": item.trace,
                    }
                    if item.base
                    else None,
                )
                for item in cells
            )

    def cells(self, run: int) -> list[CellRecord]:
        """The cells of a run, in the order they were decided."""
        with Session(self._engine) as session:
            return [
                _cell(row) for row in session.scalars(select(CellRow).where(CellRow.run == run).order_by(CellRow.id))
            ]

    def history(self, cell: str) -> list[tuple[int, list[CellRecord]]]:
        """Every run that decided this cell, newest first: the cell, then what a search did for it."""
        with Session(self._engine) as session:
            named = (CellRow.cell == cell) | (CellRow.base == cell)
            rows = session.scalars(select(CellRow).where(named).order_by(CellRow.run.desc(), CellRow.id))
            return [(run, [_cell(row) for row in of_run]) for run, of_run in groupby(rows, key=lambda row: row.run)]

    def cell_ids(self) -> list[str]:
        """All cells ever decided, sorted."""
        with Session(self._engine) as session:
            return sorted(session.scalars(select(CellRow.cell).where(CellRow.base.is_(None)).distinct()))

    def newest_cells(
        self, names: Iterable[str], before: int | None = None, told: bool = False
    ) -> dict[int, list[CellRecord]]:
        """Of each of these cells the newest record of a run, older than `before` where that is given; by run. `told`:
        of a run that has a drift report."""
        wanted = sorted(set(names))
        found: dict[int, list[CellRecord]] = {}
        with Session(self._engine) as session:
            for start in range(0, len(wanted), _CHUNK):
                newest = select(func.max(CellRow.id)).where(CellRow.cell.in_(wanted[start : start + _CHUNK]))
                if before is not None:
                    newest = newest.where(CellRow.run < before)
                if told:
                    newest = newest.join(RunRow, CellRow.run == RunRow.id).where(RunRow.drift.is_not(null()))
                rows = session.scalars(select(CellRow).where(CellRow.id.in_(newest.group_by(CellRow.cell))))
                for row in rows:
                    found.setdefault(row.run, []).append(_cell(row))
        return found

    # -- derived

    def derived(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        wanted = sorted(set(keys))
        found: dict[str, dict[str, Any]] = {}
        with Session(self._engine) as session:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in session.scalars(select(DerivedRow).where(DerivedRow.key.in_(chunk))):
                    found[row.key] = row.value
        return found

    def keep_derived(self, values: Mapping[str, dict[str, Any]]) -> None:
        with Session(self._engine) as session, session.begin():
            for key, value in values.items():
                session.merge(DerivedRow(key=key, value=value))

    def close(self) -> None:
        self._engine.dispose()


def _run(row: RunRow) -> RunRecord:
    return RunRecord(
        row.id,
        row.started,
        row.ended,
        row.status,
        row.tier,
        row.engine,
        row.command,
        row.planned,
        row.jobs_run,
        row.jobs_cached,
        cast(Resolution, row.resolution),
        row.as_of,
    )


def _observation(row: ObservationRow) -> Observation:
    return Observation(
        job=row.job,
        kind=cast(JobKind, row.kind),
        role=cast(Role, row.role),
        environment=row.environment,
        environment_id=row.environment_id,
        limits_seconds=row.limits_seconds,
        limits_memory_mb=row.limits_memory_mb,
        passes=passes_from(row.payload),
        obstacle=obstacle_from(row.payload),
        installed=row.payload["installed"],
        python=row.payload["python"],
        created=row.created,
        id=row.id,
        run=row.run,
    )


def _cell(row: CellRow) -> CellRecord:
    further = row.further or {}
    return CellRecord(
        row.cell,
        row.model,
        row.exporter,
        row.torch,
        row.opset,
        row.converter,
        row.export,
        row.reference,
        row.convert,
        row.base,
        tuple((kind, value) for kind, value in further.get("changes", [])),
        tuple(further.get("alter", [])),
        further.get("expose"),
        further.get("trace"),
    )
