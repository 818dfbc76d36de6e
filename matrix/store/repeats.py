"""Runs that came to the same as an earlier one: which rows a run shows, its own and those it repeats."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Subquery, delete, insert, select, union_all

from matrix.store.schema import CellRow, RepeatRow

_CHUNK = 500


def shown(condition: ColumnElement[bool]) -> Subquery:
    """Columns `run` and `row`: every run that shows a row of cells, for the rows that `condition` is true of."""
    own = select(CellRow.run.label("run"), CellRow.id.label("row")).where(condition)
    again = select(RepeatRow.run, RepeatRow.cell).join(CellRow, CellRow.id == RepeatRow.cell).where(condition)
    return union_all(own, again).subquery()


def of_run(run: int) -> ColumnElement[bool]:
    """Whether a run shows a row."""
    return (CellRow.run == run) | CellRow.id.in_(select(RepeatRow.cell).where(RepeatRow.run == run))


def forget(connection: Connection, run: int, cells: Collection[str]) -> None:
    """Take from a run its rows of these cells, and of what searches did for them: that was done for what they came to
    then. A run that repeated one of them gets a row of its own."""
    wanted = sorted(set(cells))
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        named = CellRow.cell.in_(chunk) | CellRow.base.in_(chunk)
        mine = [*connection.scalars(select(CellRow.id).where(CellRow.run == run, named))]
        theirs = select(CellRow.id).where(named)
        connection.execute(delete(RepeatRow).where(RepeatRow.run == run, RepeatRow.cell.in_(theirs)))
        _give_own(connection, mine)
        connection.execute(delete(CellRow).where(CellRow.id.in_(mine)))


def _give_own(connection: Connection, rows: Collection[int]) -> None:
    columns = [column for column in CellRow.__table__.columns if column.name not in ("id", "run")]
    query = (
        select(RepeatRow.run.label("run"), *columns)
        .join(CellRow, CellRow.id == RepeatRow.cell)
        .where(CellRow.id.in_(rows))
        .order_by(CellRow.id)
    )
    copies: list[dict[str, Any]] = [dict(row) for row in connection.execute(query).mappings()]
    if copies:
        connection.execute(delete(RepeatRow).where(RepeatRow.cell.in_(rows)))
        connection.execute(insert(CellRow), copies)
