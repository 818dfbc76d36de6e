"""Read whole runs, and write them in one transaction: for export, import and merge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update
from sqlalchemy.orm import Session

from matrix.store.cells import cell_columns, cell_record, of_run, remove_cells
from matrix.store.queries import chunked
from matrix.store.records import CellRecord, RunPart
from matrix.store.runs import combined, part_to_json
from matrix.store.schema import BlameRow, CellRow, ComparisonRow, LockRow, ObservationRow, ResolutionRow, RunRow

_FETCHED = 1_000

# Columns that other stores take over; numbers are only valid in one database.
_RESOLUTION, _BLAME = (
    [column for column in table.__table__.columns if column.name not in ("id", "run")]
    for table in (ResolutionRow, BlameRow)
)
_LOCK = [column for column in LockRow.__table__.columns if column.name != "digest"]
_OBSERVED = [column for column in ObservationRow.__table__.columns if column.name != "run"]


class StoreReader:
    """Reads over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def runs(self) -> list[RunRow]:
        """Return all runs, oldest first."""
        with Session(self._connection) as session:
            found = [*session.scalars(select(RunRow).order_by(RunRow.started, RunRow.id))]
            session.expunge_all()
        return found

    def models(self) -> set[str]:
        """Return the models of all cells."""
        return set(self._connection.scalars(select(CellRow.model).distinct()))

    def records(self, run: int) -> list[CellRecord]:
        """Return the cells of a run, in the order they were decided."""
        columns = [column for column in CellRow.__table__.columns if column.name != "id"]
        query = select(*columns).where(of_run(run)).order_by(CellRow.id)
        return [cell_record(row) for row in self._connection.execute(query)]

    def makers(self, observations: Collection[int]) -> dict[int, set[int]]:
        """Group these observations by the run that made them."""
        found: dict[int, set[int]] = {}
        for chunk in chunked(observations):
            query = select(ObservationRow.run, ObservationRow.id).where(ObservationRow.id.in_(chunk))
            for run, number in self._connection.execute(query):
                found.setdefault(run, set()).add(number)
        return found

    def observed(self, runs: Collection[int], kind: str) -> dict[int, set[int]]:
        """Group the observations of a kind by the run that made them."""
        query = select(ObservationRow.run, ObservationRow.id).where(ObservationRow.kind == kind)
        found: dict[int, set[int]] = {}
        for run, number in self._connection.execute(query):
            if run in runs:
                found.setdefault(run, set()).add(number)
        return found

    def observations(self, run: int, only: Collection[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and columns of a run's observations."""
        for chunk in [None] if only is None else chunked(only):
            query = select(*_OBSERVED).where(ObservationRow.run == run)
            if chunk is not None:
                query = query.where(ObservationRow.id.in_(chunk))
            rows = self._connection.execution_options(yield_per=_FETCHED).execute(query)
            for row in rows:
                columns = dict(row._mapping)
                yield columns.pop("id"), columns

    def resolutions(self, run: int) -> list[dict[str, Any]]:
        return self._rows(_RESOLUTION, ResolutionRow.run == run)

    def lock(self, digest: str) -> dict[str, Any]:
        (found,) = self._rows(_LOCK, LockRow.digest == digest)
        return found

    def blames(self, run: int) -> list[dict[str, Any]]:
        return self._rows(_BLAME, BlameRow.run == run)

    def _rows(self, columns: Iterable[ColumnElement[Any]], condition: ColumnElement[bool]) -> list[dict[str, Any]]:
        return [dict(row) for row in self._connection.execute(select(*columns).where(condition)).mappings()]

    def all_comparisons(self) -> Iterator[tuple[str, dict[str, Any]]]:
        query = select(ComparisonRow.key, ComparisonRow.value)
        for row in self._connection.execution_options(yield_per=_FETCHED).execute(query):
            yield row.key, row.value


class StoreWriter(StoreReader):
    """Adds runs of another store."""

    def add_run(
        self,
        uid: str,
        parts: Sequence[RunPart],
        resolution: str,
        as_of: dt.date | None,
        drift: Mapping[str, Any] | None,
    ) -> int:
        number = self._connection.scalar(
            insert(RunRow).returning(RunRow.id),
            {"uid": uid, **_run_columns(parts, resolution, as_of, drift)},
        )
        assert isinstance(number, int)
        return number

    def set_run(
        self,
        number: int,
        parts: Sequence[RunPart],
        resolution: str,
        as_of: dt.date | None,
        drift: Mapping[str, Any] | None,
    ) -> None:
        columns = _run_columns(parts, resolution, as_of, drift)
        self._connection.execute(update(RunRow).where(RunRow.id == number).values(**columns))

    def add_observations(self, run: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """Add observations; return their numbers, in the same order."""
        if not rows:
            return []
        query = insert(ObservationRow).returning(ObservationRow.id, sort_by_parameter_order=True)
        return [*self._connection.scalars(query, [{"run": run, **row} for row in rows])]

    def add_cells(self, run: int, records: Sequence[CellRecord]) -> None:
        if records:
            self._connection.execute(insert(CellRow), [cell_columns(run, item) for item in records])

    def remove_cells(self, run: int, ids: Collection[str]) -> None:
        remove_cells(self._connection, run, ids)

    def add_lock(self, digest: str, columns: Mapping[str, Any]) -> None:
        """Add a lock, unless it is there."""
        if self._connection.scalar(select(LockRow.digest).where(LockRow.digest == digest)) is None:
            self._connection.execute(insert(LockRow), {"digest": digest, **columns})

    def set_resolution(self, run: int, columns: Mapping[str, Any], new: bool) -> None:
        if new:
            self._connection.execute(insert(ResolutionRow), {"run": run, **columns})
        else:
            mine = (ResolutionRow.run == run) & (ResolutionRow.name == columns["name"])
            self._connection.execute(update(ResolutionRow).where(mine).values(**columns))

    def add_blame(self, run: int, columns: Mapping[str, Any]) -> None:
        self._connection.execute(insert(BlameRow), {"run": run, **columns})

    def comparisons(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for chunk in chunked(keys):
            query = select(ComparisonRow.key, ComparisonRow.value).where(ComparisonRow.key.in_(chunk))
            found.update((key, value) for key, value in self._connection.execute(query))
        return found

    def add_comparisons(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        if values:
            rows = [{"key": key, "value": dict(value)} for key, value in values.items()]
            self._connection.execute(insert(ComparisonRow), rows)

    def set_comparison(self, key: str, value: Mapping[str, Any]) -> None:
        self._connection.execute(update(ComparisonRow).where(ComparisonRow.key == key).values(value=dict(value)))


def _run_columns(
    parts: Sequence[RunPart], resolution: str, as_of: dt.date | None, drift: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        **combined(parts),
        "parts": [part_to_json(part) for part in parts],
        "resolution": resolution,
        "as_of": as_of,
        # A JSON null would count as a report.
        **({"drift": dict(drift)} if drift is not None else {}),
    }
