"""Reading and writing history. Rows are added, never changed, but for the end of a run."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import Row, func, insert, null, select, update
from sqlalchemy.orm import Session

from matrix.core.errors import StateInUse
from matrix.store import parts, repeats
from matrix.store.blames import Blames
from matrix.store.blobs import BlobStore, FolderBlobs
from matrix.store.cell_rows import cell_columns
from matrix.store.cell_rows import cell_record as _cell
from matrix.store.database import connect
from matrix.store.decisions import Decisions
from matrix.store.exchange import Exchange
from matrix.store.records import (
    CellRecord,
    JobKind,
    Observation,
    Resolution,
    RunPart,
    RunRecord,
    family_from,
    obstacle_from,
    passes_from,
)
from matrix.store.resolutions import Resolutions
from matrix.store.schema import CellRow, ComparisonRow, DerivedRow, ObservationRow, RunRow
from matrix.store.thinning import Thinning, thinning
from matrix.table.model import Limits, Role

_CHUNK = 500


class Store:
    """The database at `url` and the blobs that it names, a folder where only a path is given."""

    def __init__(self, url: str, blobs: BlobStore | Path) -> None:
        self._engine = connect(url)
        self.resolutions = Resolutions(self._engine)
        self.blames = Blames(self._engine)
        self.decisions = Decisions(self._engine)
        self.exchange = Exchange(self._engine)
        self.blobs: BlobStore = FolderBlobs(blobs) if isinstance(blobs, Path) else blobs
        self.name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.blobs.used_by(self.name)
        # Of the runs that this driver has open: the part that is under way, None where a run is its own only one.
        self._under_way: dict[int, str | None] = {}
        self._reopened: set[int] = set()

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
        uid: str | None = None,
        part: Mapping[str, Any] | None = None,
    ) -> int:
        """Open a run. Runs that a killed driver of the same `host["state"]` left open are closed as `killed`.

        `uid` is its name on every machine; a run of that name is opened again: what is decided anew takes the place of
        what was. `part` says which shard of it this is: `shard`, `partition` and `whole` as in Part. Raises StateInUse
        where the same part of it is under way elsewhere, UsageError for a name that no run can have.
        """
        if uid is not None:
            parts.check_uid(uid)
        begun = RunPart(
            uid=_part_uid(uid, part),
            started=dt.datetime.now(dt.UTC),
            ended=None,
            status="running",
            tier=tier,
            engine=engine,
            command=command,
            planned=planned,
            host=dict(host),
            **(part or {}),
        )
        with Session(self._engine) as session, session.begin():
            _close_left(session, host.get("state"))
            row = session.scalar(select(RunRow).where(RunRow.uid == uid)) if uid is not None else None
            again = row is not None
            if row is None:
                row = RunRow(uid=uid or begun.uid, **parts.together([begun]))
                row.parts = None if part is None else [parts.to_json(begun)]
                session.add(row)
            else:
                _reopen(row, begun, shard=part is not None)
            row.resolution, row.as_of = resolution, as_of
            session.flush()
            if again:
                self._reopened.add(row.id)
            self._under_way[row.id] = begun.uid if row.parts is not None else None
            return row.id

    def end_run(self, run: int, status: str, jobs_run: int, jobs_cached: int, planned: int | None = None) -> None:
        """Close a run, or the part of it that this driver began. `planned` where only its end shows how many cells it
        was about."""
        values: dict[str, Any] = {"status": status, "jobs_run": jobs_run, "jobs_cached": jobs_cached}
        if planned is not None:
            values["planned"] = planned
        values["ended"] = dt.datetime.now(dt.UTC)
        part = self._under_way.get(run)
        with Session(self._engine) as session, session.begin():
            if part is not None:
                row = session.scalars(select(RunRow).where(RunRow.id == run)).one()
                _set_parts(row, [replace(one, **values) if one.uid == part else one for one in parts.of_run(row)])
            else:
                session.execute(update(RunRow).where(RunRow.id == run).values(**values))

    def close_left(self, state: str) -> None:
        """Close as `killed` what drivers of a state folder left open. Only for who holds it: there none is at work."""
        with Session(self._engine) as session, session.begin():
            _close_left(session, state)

    def runs(self) -> list[RunRecord]:
        """All runs, newest first: by when they began, for their numbers tell only when they came into this database."""
        with Session(self._engine) as session:
            newest = select(RunRow).order_by(RunRow.started.desc(), RunRow.id.desc())
            return [_run(row) for row in session.scalars(newest)]

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
                .order_by(ObservationRow.created.desc(), ObservationRow.id.desc())
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
        order = (ObservationRow.created.desc(), ObservationRow.id.desc())
        place = func.row_number().over(partition_by=ObservationRow.environment, order_by=order).label("place")
        ranked = select(ObservationRow.id, place).where(ObservationRow.kind == kind, ObservationRow.finding).subquery()
        newest = select(ranked.c.id).where(ranked.c.place == 1)
        with Session(self._engine) as session:
            rows = session.scalars(select(ObservationRow).where(ObservationRow.id.in_(newest)))
            return {row.environment: _observation(row) for row in rows}

    def observations(self, ids: Iterable[int]) -> dict[int, Observation]:
        wanted = sorted(set(ids))
        found: dict[int, Observation] = {}
        # Columns, not mapped objects: of a long history there are a hundred thousand.
        columns = select(*ObservationRow.__table__.columns)
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in connection.execute(columns.where(ObservationRow.id.in_(chunk))):
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
        """Add to what a run decided. In a run that was opened again a cell takes the place of its older self."""
        with self._engine.begin() as connection:
            if run in self._reopened:
                repeats.forget(connection, run, [item.cell for item in cells])
            if cells:
                connection.execute(insert(CellRow), [cell_columns(run, item) for item in cells])

    def cells(self, run: int) -> list[CellRecord]:
        """The cells of a run, in the order they were decided."""
        with Session(self._engine) as session:
            rows = session.scalars(select(CellRow).where(repeats.of_run(run)).order_by(CellRow.id))
            return [_cell(row) for row in rows]

    def history(self, cell: str) -> list[tuple[int, list[CellRecord]]]:
        """Every run that decided this cell, newest first: the cell, then what a search did for it."""
        seen = repeats.shown((CellRow.cell == cell) | (CellRow.base == cell))
        query = (
            select(seen.c.run, CellRow)
            .join(CellRow, CellRow.id == seen.c.row)
            .join(RunRow, RunRow.id == seen.c.run)
            .order_by(RunRow.started.desc(), RunRow.id.desc(), CellRow.base.is_not(None), CellRow.id)
        )
        with Session(self._engine) as session:
            rows = session.execute(query)
            return [(run, [_cell(row) for _, row in of_run]) for run, of_run in groupby(rows, key=lambda row: row[0])]

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
                seen = repeats.shown(CellRow.cell.in_(wanted[start : start + _CHUNK]))
                order = (RunRow.started.desc(), RunRow.id.desc(), seen.c.row.desc())
                newest = (
                    select(
                        seen.c.run,
                        seen.c.row,
                        func.row_number().over(partition_by=CellRow.cell, order_by=order).label("place"),
                    )
                    .join(CellRow, CellRow.id == seen.c.row)
                    .join(RunRow, RunRow.id == seen.c.run)
                )
                if before is not None:
                    newest = newest.where(parts.older(before))
                if told:
                    newest = newest.where(RunRow.drift.is_not(null()))
                ranked = newest.subquery()
                query = (
                    select(ranked.c.run, CellRow).join(CellRow, CellRow.id == ranked.c.row).where(ranked.c.place == 1)
                )
                for run, row in session.execute(query):
                    found.setdefault(run, []).append(_cell(row))
        return found

    # -- derived

    def derived(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        return self._values(DerivedRow, keys)

    def keep_derived(self, values: Mapping[str, dict[str, Any]]) -> None:
        with Session(self._engine) as session, session.begin():
            for key, value in values.items():
                session.merge(DerivedRow(key=key, value=value))

    def comparisons(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What comparing files of arrays gave on other machines."""
        return self._values(ComparisonRow, keys)

    def _values(self, table: type[DerivedRow] | type[ComparisonRow], keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        wanted = sorted(set(keys))
        found: dict[str, dict[str, Any]] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                query = select(table.key, table.value).where(table.key.in_(chunk))
                found.update((key, value) for key, value in connection.execute(query))
        return found

    def thinning(self, for_good: bool) -> AbstractContextManager[Thinning]:
        """Take rows out that say nothing new; where it is not `for_good`, only in this block."""
        return thinning(self._engine, for_good)

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
        row.uid,
        parts.of_run(row),
    )


def _part_uid(uid: str | None, part: Mapping[str, Any] | None) -> str:
    shard = (part or {}).get("shard")
    return "-".join([uid or uuid.uuid4().hex, *(str(shard).split("/") if shard else ())])


def _set_parts(row: RunRow, of_run: Sequence[RunPart]) -> None:
    row.parts = [parts.to_json(one) for one in sorted(of_run, key=lambda one: one.uid)]
    for column, value in parts.together(of_run).items():
        setattr(row, column, value)


def _close_left(session: Session, state: object) -> None:
    """Close what killed drivers of a state folder left open."""
    for row in session.scalars(select(RunRow).where(RunRow.status == "running")):
        _close_run(row, state)


def _close_run(row: RunRow, state: object) -> None:
    if row.parts is None:
        if row.host.get("state") == state:
            row.status = "killed"
        return
    closed = [
        replace(one, status="killed") if one.status == "running" and one.host.get("state") == state else one
        for one in parts.of_run(row)
    ]
    _set_parts(row, closed)


def _reopen(row: RunRow, begun: RunPart, shard: bool) -> None:
    before = {one.uid: one for one in parts.of_run(row)}
    own = before.get(begun.uid)
    if own is not None:
        if own.status == "running":
            raise StateInUse(
                f"run {row.uid} is under way with another --state; wait for it, or give this one another --run-id"
            )
        begun = replace(begun, started=own.started)
    if row.parts is not None or shard:
        _set_parts(row, [*(one for one in before.values() if one.uid != begun.uid), begun])
    else:
        for column, value in parts.together([begun]).items():
            setattr(row, column, value)


def _observation(row: ObservationRow | Row[Any]) -> Observation:
    return Observation(
        job=row.job,
        kind=row.kind,
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
        family=family_from(row.payload, row.role),
    )
