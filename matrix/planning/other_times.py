"""Cells with one environment resolved as of another day. Pure.

Only one environment of a cell moves, so that a change of its finding is due to that one: a cell of `now` has either the
converter of now and the exporter of then, or the reverse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.ids import NOW, RowId
from matrix.table.model import ConverterRow, ExporterRow, Row

AnyRow = TypeVar("AnyRow", bound=Row)


def moved_row(row: AnyRow, label: str, as_of: dt.date, python: str, within: Mapping[str, str] | None = None) -> AnyRow:
    """Return the row resolved as of a day for this Python, within further ranges; `label` is the time in its id."""
    return row.model_copy(
        update={
            "id": str(RowId(row.id, label)),
            "as_of": as_of,
            "python": python,
            "within": {**row.within, **(within or {})},
            "note": f"{row.id} as of {as_of}",
        }
    )


def moved_cell(cell: Cell, row: Row) -> Cell:
    """Return the cell with a row of another time in place of its converter's or its exporter's."""
    if isinstance(row, ExporterRow):
        moved = RowId(cell.exporter.id, RowId.parse(row.id).time)
        exporter = replace(cell.exporter, id=str(moved), row=row.id)
        return replace(cell, exporter=exporter, exporter_row=row)
    assert isinstance(row, ConverterRow)
    return replace(cell, converter=row)


def cells_of_now(
    cells: Sequence[Cell],
    exporters: Mapping[str, ExporterRow],
    lock_of: Callable[[Row], Lock | None],
    as_of: dt.date,
) -> tuple[Cell, ...]:
    """Return every cell with its converter of now, and one cell for each model, exporter and opset with its exporter of
    now. That is the last one: the newest converter most likely reads what is written. Rows younger than `as_of` are
    skipped: their pins did not exist then.

    `exporters` are rows by id; `lock_of` returns the lock of then, whose Python stays.
    """
    rows: dict[str, Row] = {}

    def now(row: Row) -> Row | None:
        lock = lock_of(row)
        if lock is None or lock.as_of > as_of:
            return None
        return rows.setdefault(row.id, moved_row(row, NOW, as_of, lock.python))

    found: list[Cell] = []
    last = {(cell.model.id, cell.exporter.id, cell.opset): cell for cell in cells}
    for cell in cells:
        if (converter := now(cell.converter)) is not None:
            found.append(moved_cell(cell, converter))
        row = exporters.get(cell.exporter.row) if cell.exporter.writes else None
        if row is None or cell is not last[cell.model.id, cell.exporter.id, cell.opset]:
            continue
        if (exporter := now(row)) is not None:
            found.append(moved_cell(cell, exporter))
    return tuple(found)


def younger(cells: Sequence[Cell], of_now: Iterable[Cell]) -> list[str]:
    """Return the rows of `cells` that `cells_of_now` skipped."""
    named = {RowId.parse(name) for cell in of_now for name in (cell.converter.id, cell.exporter.row)}
    rows = {cell.converter.id for cell in cells} | {cell.exporter.row for cell in cells if cell.exporter.writes}
    return sorted(rows - {row.stem for row in named if row.time})
