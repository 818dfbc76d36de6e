"""Bulk queries over the cells of many runs, for timelines: row numbers, without what only a view of one cell needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, String, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from matrix.store.cells import cell_record, of_run
from matrix.store.queries import chunked
from matrix.store.records import CellRecord
from matrix.store.schema import CellRow, RepeatRow, RunRow

# Rows fetched at once.
_FETCHED = 20_000


class CellOfRun(NamedTuple):
    """A cell of a run. `row` is its row in the database, made by the run `origin`: this one, or one that it repeats."""

    run: int
    origin: int
    row: int
    cell: str


class ObservedCell(NamedTuple):
    """The observations of a cell, and the numbers of the runs that have these same ones. `row` is one such row in the
    database, made by the run `origin`, or by any of the runs where that is None."""

    cell: str
    export: int
    reference: int | None
    convert: int | None
    row: int
    runs: tuple[int, ...]
    origin: int | None


class CellHistory:
    """The cells of all runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def each(self, runs: Collection[int]) -> Iterator[CellOfRun]:
        """Yield every cell that these runs decided, older runs first."""
        with self._engine.connect() as connection:
            ordered = select(RunRow.id).where(RunRow.id.in_(sorted(runs))).order_by(RunRow.started, RunRow.id)
            # One run at a time: there is an index for the rows of a run, none for their order in time.
            for run in connection.scalars(ordered).all():
                query = select(CellRow.run, CellRow.id, CellRow.cell).where(CellRow.base.is_(None), of_run(run))
                for origin, row, cell in connection.execution_options(yield_per=_FETCHED).execute(query):
                    yield CellOfRun(run, origin, row, cell)

    def grouped(self, runs: Collection[int]) -> Iterator[ObservedCell]:
        """Yield the cells of these runs, one item for all runs with the same observations: there may be millions of
        rows. Cells with records of a search are yielded row by row, because these may differ from run to run."""
        numbers = sorted(runs)
        known = (CellRow.cell, CellRow.export, CellRow.reference, CellRow.convert)
        searched = select(CellRow.base).where(CellRow.base.is_not(None))
        own = select().where(CellRow.base.is_(None), CellRow.run.in_(numbers))
        alone = own.add_columns(*known, CellRow.id, CellRow.run).where(CellRow.cell.in_(searched))
        grouped = own.add_columns(*known, func.min(CellRow.id), _listed(CellRow.run)).group_by(*known)
        again = (
            select(RepeatRow.cell, _listed(RepeatRow.run).label("runs"))
            .where(RepeatRow.run.in_(numbers))
            .group_by(RepeatRow.cell)
            .subquery()
        )
        repeated = select(*known, CellRow.id, again.c.runs, CellRow.run).where(CellRow.base.is_(None))
        with self._engine.connect() as connection:
            for cell, export, reference, convert, row, run in connection.execute(alone):
                yield ObservedCell(cell, export, reference, convert, row, (run,), run)
            for *facts, listed in connection.execute(grouped.where(CellRow.cell.not_in(searched))):
                yield ObservedCell._make((*facts, _numbers(listed), None))
            for *facts, listed, origin in connection.execute(repeated.join(again, again.c.cell == CellRow.id)):
                yield ObservedCell._make((*facts, _numbers(listed), origin))

    def searched(self, runs: Collection[int]) -> dict[tuple[int, str], tuple[int, ...]]:
        """Map run and cell to the rows of the searches for it; the run is the one that made those rows."""
        shown = set(runs)
        repeated = select(RepeatRow.cell).where(RepeatRow.run.in_(sorted(runs)))
        query = select(CellRow.run, CellRow.base, CellRow.id).where(CellRow.base.is_not(None)).order_by(CellRow.id)
        found: dict[tuple[int, str], tuple[int, ...]] = {}
        with self._engine.connect() as connection:
            again = set(connection.scalars(repeated))
            # Searches are few: filtering them here is faster than in the query.
            for run, base, row in connection.execute(query):
                if base is not None and (run in shown or row in again):
                    found[run, base] = (*found.get((run, base), ()), row)
        return found

    def records(self, rows: Iterable[int]) -> dict[int, CellRecord]:
        """Map these rows to their complete records."""
        found = {}
        columns = select(*CellRow.__table__.columns)
        with self._engine.connect() as connection:
            for chunk in chunked(rows):
                for row in connection.execute(columns.where(CellRow.id.in_(chunk))):
                    found[row.id] = cell_record(row)
        return found


def _listed(run: InstrumentedAttribute[int]) -> ColumnElement[str]:
    return func.aggregate_strings(cast(run, String), ",")


def _numbers(listed: str) -> tuple[int, ...]:
    return tuple(map(int, listed.split(",")))
