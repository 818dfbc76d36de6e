"""Rows of cells: their conversion from and to records, and which rows a run shows.

A run shows its own rows and those of earlier runs that it repeats, because it had the same result for the cell.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Subquery, delete, insert, select, union_all

from matrix.store.queries import chunked
from matrix.store.records import CellRecord
from matrix.store.schema import CellRow, RepeatRow

_COLUMNS = ("cell", "model", "exporter", "torch", "opset", "converter", "export", "reference", "convert", "base")
_values = attrgetter(*_COLUMNS)


def cell_record(row: CellRow | Row[Any]) -> CellRecord:
    """Return the record of a row."""
    further = row.further or {}
    return CellRecord(
        **dict(zip(_COLUMNS, _values(row), strict=True)),
        changes=tuple((kind, value) for kind, value in further.get("changes", [])),
        alter=tuple(further.get("alter", [])),
        expose=further.get("expose"),
        trace=further.get("trace"),
        forward=further.get("forward"),
    )


def cell_columns(run: int, record: CellRecord) -> dict[str, Any]:
    """Return the column values of a record of a run."""
    further: dict[str, Any] = {"forward": record.forward} if record.forward is not None else {}
    if record.base:
        further |= {
            "changes": [list(change) for change in record.changes],
            "alter": list(record.alter),
            "expose": record.expose,
            "trace": record.trace,
        }
    columns = zip(_COLUMNS, _values(record), strict=True)
    return {"run": run, **dict(columns), "further": further or None}


def shown(condition: ColumnElement[bool]) -> Subquery:
    """Select `run` and `row` for the rows of cells that fulfil a condition, and every run that shows them."""
    own = select(CellRow.run.label("run"), CellRow.id.label("row")).where(condition)
    again = select(RepeatRow.run, RepeatRow.cell).join(CellRow, CellRow.id == RepeatRow.cell).where(condition)
    return union_all(own, again).subquery()


def of_run(run: int) -> ColumnElement[bool]:
    """Return the condition that a run shows a row."""
    return (CellRow.run == run) | CellRow.id.in_(select(RepeatRow.cell).where(RepeatRow.run == run))


def remove_cells(connection: Connection, run: int, cells: Collection[str]) -> None:
    """Remove cells from a run, with the records of searches, which were about their results at that time.

    A later run that repeats such a row gets a copy of its own.
    """
    for chunk in chunked(cells):
        named = CellRow.cell.in_(chunk) | CellRow.base.in_(chunk)
        mine = [*connection.scalars(select(CellRow.id).where(CellRow.run == run, named))]
        theirs = select(CellRow.id).where(named)
        connection.execute(delete(RepeatRow).where(RepeatRow.run == run, RepeatRow.cell.in_(theirs)))
        _copy_to_repeaters(connection, mine)
        connection.execute(delete(CellRow).where(CellRow.id.in_(mine)))


def _copy_to_repeaters(connection: Connection, rows: Collection[int]) -> None:
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
