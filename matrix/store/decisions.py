"""Which cells came to rest on which observations, run by run: the bones of history, quick to read whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, String, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from matrix.store import repeats
from matrix.store.cell_rows import cell_record
from matrix.store.records import CellRecord
from matrix.store.schema import CellRow, RepeatRow, RunRow

_CHUNK = 500
# So many rows are fetched at once.
_FETCHED = 20_000


class Decided(NamedTuple):
    """A cell of a run. `row` is its record in the database, which `origin`, this run or an earlier one, made."""

    run: int
    origin: int
    row: int
    cell: str


class Rest(NamedTuple):
    """What a cell came to rest on, and the numbers of the runs in which it did. `row` is a record in the database that
    says so, made by the run `origin`; None: by any of them."""

    cell: str
    export: int
    reference: int | None
    convert: int | None
    row: int
    runs: tuple[int, ...]
    origin: int | None


class Decisions:
    """Cells by number of their row, without what only a view of one cell needs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def each(self, runs: Collection[int]) -> Iterator[Decided]:
        """Every cell that these runs decided, older runs first."""
        with self._engine.connect() as connection:
            ordered = select(RunRow.id).where(RunRow.id.in_(sorted(runs))).order_by(RunRow.started, RunRow.id)
            # One by one: an index knows the rows of a run, and none their order in time.
            for run in connection.scalars(ordered).all():
                query = select(CellRow.run, CellRow.id, CellRow.cell).where(CellRow.base.is_(None), repeats.of_run(run))
                for origin, row, cell in connection.execution_options(yield_per=_FETCHED).execute(query):
                    yield Decided(run, origin, row, cell)

    def together(self, runs: Collection[int]) -> Iterator[Rest]:
        """What the cells of these runs rest on: runs with the same observations of a cell at once, for there may be
        millions. Cells that a search did something for come row by row, because in every run it may have done
        something else."""
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
                yield Rest(cell, export, reference, convert, row, (run,), run)
            for *facts, listed in connection.execute(grouped.where(CellRow.cell.not_in(searched))):
                yield Rest._make((*facts, _numbers(listed), None))
            for *facts, listed, origin in connection.execute(repeated.join(again, again.c.cell == CellRow.id)):
                yield Rest._make((*facts, _numbers(listed), origin))

    def searched(self, runs: Collection[int]) -> dict[tuple[int, str], tuple[int, ...]]:
        """By run and cell the rows of what a search did for it; the run is the one that made those rows."""
        shown = set(runs)
        repeated = select(RepeatRow.cell).where(RepeatRow.run.in_(sorted(runs)))
        query = select(CellRow.run, CellRow.base, CellRow.id).where(CellRow.base.is_not(None)).order_by(CellRow.id)
        found: dict[tuple[int, str], tuple[int, ...]] = {}
        with self._engine.connect() as connection:
            again = set(connection.scalars(repeated))
            # Of few cells of few runs anything was searched: which of them count is quicker to see here.
            for run, base, row in connection.execute(query):
                if base is not None and (run in shown or row in again):
                    found[run, base] = (*found.get((run, base), ()), row)
        return found

    def records(self, rows: Iterable[int]) -> dict[int, CellRecord]:
        """The records of these rows, whole."""
        wanted = sorted(set(rows))
        found = {}
        columns = select(*CellRow.__table__.columns)
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                for row in connection.execute(columns.where(CellRow.id.in_(chunk))):
                    found[row.id] = cell_record(row)
        return found


def _listed(run: InstrumentedAttribute[int]) -> ColumnElement[str]:
    return func.aggregate_strings(cast(run, String), ",")


def _numbers(listed: str) -> tuple[int, ...]:
    return tuple(map(int, listed.split(",")))
