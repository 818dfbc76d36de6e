"""Read and write history. Rows are only added, except that a run's row is updated when the run ends."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Row, insert, select, update
from sqlalchemy.orm import Session

from matrix.store.blames import Blames
from matrix.store.blobs import BlobStore, FolderBlobs
from matrix.store.cell_history import CellHistory
from matrix.store.cells import cell_columns, cell_record, of_run, remove_cells, shown
from matrix.store.database import connect
from matrix.store.queries import chunked, newest, newest_run
from matrix.store.records import (
    OBSERVATION_COLUMNS,
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
from matrix.store.removal import Pruner, pruning
from matrix.store.resolutions import Resolutions
from matrix.store.runs import check_uid, close_killed, combined, part_to_json, parts_of, reopen, run_record, set_parts
from matrix.store.schema import CellRow, ComparisonRow, DerivedRow, ObservationRow, RunRow
from matrix.store.transfer import StoreReader, StoreWriter
from matrix.table.model import Limits

# Rows fetched at once.
_FETCHED = 500


class Store:
    """The database at `url`, a SQLAlchemy URL, and the blobs that it refers to; a path means a folder of blobs.

    Raises ConfigError where the database cannot be opened.
    """

    def __init__(self, url: str, blobs: BlobStore | Path) -> None:
        self._engine = connect(url)
        self.resolutions = Resolutions(self._engine)
        self.blames = Blames(self._engine)
        self.cell_history = CellHistory(self._engine)
        self.blobs: BlobStore = FolderBlobs(blobs) if isinstance(blobs, Path) else blobs
        self.name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.blobs.used_by(self.name)
        # For each run that this driver has open, the running part, None where the run is not split.
        self._running_parts: dict[int, str | None] = {}
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
        """Open a run and return its number, closing as `killed` what killed drivers of `host["state"]` left open.

        `uid` is the run's id on every machine; a run with that id is reopened, and cells decided again replace their
        older rows. `part` says which shard this is: `shard`, `partition` and `whole` as in RunPart. Raises StateInUse
        where the same part is running elsewhere, UsageError for an invalid id.
        """
        if uid is not None:
            check_uid(uid)
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
            close_killed(session, host.get("state"))
            row = session.scalar(select(RunRow).where(RunRow.uid == uid)) if uid is not None else None
            again = row is not None
            if row is None:
                row = RunRow(uid=uid or begun.uid, **combined([begun]))
                row.parts = None if part is None else [part_to_json(begun)]
                session.add(row)
            else:
                reopen(row, begun, shard=part is not None)
            row.resolution, row.as_of = resolution, as_of
            session.flush()
            if again:
                self._reopened.add(row.id)
            self._running_parts[row.id] = begun.uid if row.parts is not None else None
            return row.id

    def end_run(
        self,
        run: int,
        status: str,
        jobs_run: int,
        jobs_cached: int,
        planned: int | None = None,
        spent: Mapping[str, Any] | None = None,
    ) -> None:
        """Close a run, or the part of it that this driver opened. `planned` is the number of cells where only the end
        of the run shows it; `spent` is added to what is stored of the machine."""
        values: dict[str, Any] = {"status": status, "jobs_run": jobs_run, "jobs_cached": jobs_cached}
        if planned is not None:
            values["planned"] = planned
        values["ended"] = dt.datetime.now(dt.UTC)
        part = self._running_parts.get(run)
        with Session(self._engine) as session, session.begin():
            row = session.scalars(select(RunRow).where(RunRow.id == run)).one()
            ended = [
                replace(one, **values, host={**one.host, **({"spent": spent} if spent else {})})
                if part in (None, one.uid)
                else one
                for one in parts_of(row)
            ]
            set_parts(row, ended, split=part is not None)

    def close_left(self, state: str) -> None:
        """Close as `killed` what drivers of a state folder left open. The caller must hold the folder."""
        with Session(self._engine) as session, session.begin():
            close_killed(session, state)

    def runs(self) -> list[RunRecord]:
        """Return all runs, newest first by their start: numbers only tell the order of insertion into this database."""
        with Session(self._engine) as session:
            newest = select(RunRow).order_by(RunRow.started.desc(), RunRow.id.desc())
            return [run_record(row) for row in session.scalars(newest)]

    def run(self, number: int) -> RunRecord:
        """Return a run. Raises NoResultFound."""
        with Session(self._engine) as session:
            return run_record(session.scalars(select(RunRow).where(RunRow.id == number)).one())

    def keep_drift(self, run: int, document: Mapping[str, Any]) -> None:
        """Store the drift report of a run, which could not be computed again: the index changes."""
        with Session(self._engine) as session, session.begin():
            session.execute(update(RunRow).where(RunRow.id == run).values(drift=dict(document)))

    def drift(self, run: int) -> dict[str, Any] | None:
        """Return the drift report of a run, None where it has none."""
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
            columns = {name: getattr(observation, name) for name in OBSERVATION_COLUMNS}
            row = ObservationRow(run=run, finding=finding, bounded=bounded, payload=observation.payload(), **columns)
            session.add(row)
            session.flush()
            return row.id

    def finding(self, job: str, limits: Limits) -> Observation | None:
        """Return the newest finding of a job that is valid under `limits`: a timeout or oom does not hold for wider
        ones."""
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
        """Map each environment's name to its newest finding of a kind of job, of any engine and lock."""
        findings = select(ObservationRow.id).where(ObservationRow.kind == kind, ObservationRow.finding)
        order = (ObservationRow.created.desc(), ObservationRow.id.desc())
        ids = newest(findings, ObservationRow.environment, *order)
        with Session(self._engine) as session:
            rows = session.scalars(select(ObservationRow).where(ObservationRow.id.in_(ids)))
            return {row.environment: _observation(row) for row in rows}

    def observations(self, ids: Iterable[int]) -> dict[int, Observation]:
        found: dict[int, Observation] = {}
        # Columns, not mapped objects: a long history has a hundred thousand.
        columns = select(*ObservationRow.__table__.columns)
        with self._engine.connect() as connection:
            for chunk in chunked(ids):
                for row in connection.execute(columns.where(ObservationRow.id.in_(chunk))):
                    found[row.id] = _observation(row)
        return found

    def made_by(self, run: int) -> list[Observation]:
        """Return the observations that a run made itself, in the order in which they were stored."""
        query = select(*ObservationRow.__table__.columns).where(ObservationRow.run == run).order_by(ObservationRow.id)
        with self._engine.connect() as connection:
            return [_observation(row) for row in connection.execute(query)]

    def blobs_named(self) -> set[str]:
        """Return the names of all blobs that observations refer to."""
        named: set[str] = set()
        with Session(self._engine) as session:
            for payload in session.scalars(select(ObservationRow.payload).execution_options(yield_per=_FETCHED)):
                for record in passes_from(payload):
                    named |= {record.log, *record.files.values()}
        return named

    # -- cells

    def add_cells(self, run: int, cells: Sequence[CellRecord]) -> None:
        """Add cells to a run. In a reopened run, a cell replaces its older row."""
        with self._engine.begin() as connection:
            if run in self._reopened:
                remove_cells(connection, run, [item.cell for item in cells])
            if cells:
                connection.execute(insert(CellRow), [cell_columns(run, item) for item in cells])

    def cells(self, run: int) -> list[CellRecord]:
        """Return the cells of a run, in the order they were decided."""
        with Session(self._engine) as session:
            rows = session.scalars(select(CellRow).where(of_run(run)).order_by(CellRow.id))
            return [cell_record(row) for row in rows]

    def history(self, cell: str) -> list[tuple[int, list[CellRecord]]]:
        """Return every run that decided this cell, newest first: the cell, then the records of searches for it."""
        seen = shown((CellRow.cell == cell) | (CellRow.base == cell))
        query = (
            select(seen.c.run, CellRow)
            .join(CellRow, CellRow.id == seen.c.row)
            .join(RunRow, RunRow.id == seen.c.run)
            .order_by(RunRow.started.desc(), RunRow.id.desc(), CellRow.base.is_not(None), CellRow.id)
        )
        with Session(self._engine) as session:
            grouped = groupby(session.execute(query), key=lambda row: row[0])
            return [(run, [cell_record(row) for _, row in rows]) for run, rows in grouped]

    def cell_ids(self) -> list[str]:
        """Return the ids of all cells ever decided, sorted."""
        with Session(self._engine) as session:
            return sorted(session.scalars(select(CellRow.cell).where(CellRow.base.is_(None)).distinct()))

    def newest_cells(
        self, names: Iterable[str], before: int | None = None, with_drift: bool = False
    ) -> dict[int, list[CellRecord]]:
        """Return the newest record of each of these cells, by run.

        `before`: only of runs older than this one; `with_drift`: only of runs that have a drift report.
        """
        found: dict[int, list[CellRecord]] = {}
        with Session(self._engine) as session:
            for chunk in chunked(names):
                seen = shown(CellRow.cell.in_(chunk))
                rows = select(seen.c.run, seen.c.row).join(CellRow, CellRow.id == seen.c.row)
                rows = rows.join(RunRow, RunRow.id == seen.c.run)
                last = newest_run(rows, CellRow.cell, seen.c.row.desc(), before=before, drift=with_drift).subquery()
                for run, row in session.execute(select(last.c.run, CellRow).join(CellRow, CellRow.id == last.c.row)):
                    found.setdefault(run, []).append(cell_record(row))
        return found

    # -- derived

    def derived(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        return self._values(DerivedRow, keys)

    def keep_derived(self, values: Mapping[str, dict[str, Any]]) -> None:
        with Session(self._engine) as session, session.begin():
            for key, value in values.items():
                session.merge(DerivedRow(key=key, value=value))

    def comparisons(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return results of comparing files of arrays on other machines."""
        return self._values(ComparisonRow, keys)

    def _values(self, table: type[DerivedRow] | type[ComparisonRow], keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with self._engine.connect() as connection:
            for chunk in chunked(keys):
                query = select(table.key, table.value).where(table.key.in_(chunk))
                found.update((key, value) for key, value in connection.execute(query))
        return found

    # -- whole runs

    @contextmanager
    def reading(self) -> Iterator[StoreReader]:
        """Read whole runs over one connection."""
        with self._engine.connect() as connection:
            yield StoreReader(connection)

    @contextmanager
    def writing(self) -> Iterator[StoreWriter]:
        """Commit everything the block writes, or nothing."""
        with self._engine.begin() as connection:
            yield StoreWriter(connection)

    def pruning(self, permanent: bool) -> AbstractContextManager[Pruner]:
        """Remove rows that hold nothing new, rolled back at the end of the block unless `permanent`."""
        return pruning(self._engine, permanent)

    def close(self) -> None:
        self._engine.dispose()


def _part_uid(uid: str | None, part: Mapping[str, Any] | None) -> str:
    shard = (part or {}).get("shard")
    return "-".join([uid or uuid.uuid4().hex, *(str(shard).split("/") if shard else ())])


def _observation(row: ObservationRow | Row[Any]) -> Observation:
    return Observation(
        **{name: getattr(row, name) for name in (*OBSERVATION_COLUMNS, "id", "run")},
        passes=passes_from(row.payload),
        obstacle=obstacle_from(row.payload),
        installed=row.payload["installed"],
        python=row.payload["python"],
        family=family_from(row.payload, row.role),
    )
