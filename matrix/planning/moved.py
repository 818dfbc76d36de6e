"""The same cells at another time: one environment of a cell resolved as of another day. Pure.

Only one of the two moves, so that what comes of it speaks of that one: a cell of `now` has the converter of now and the
exporter of then, and every exporter has cells of now of its own.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from matrix.config.model import ConverterRow, ExporterRow, Row
from matrix.locks.lockfile import Lock
from matrix.planning.cells import Cell

AnyRow = TypeVar("AnyRow", bound=Row)
Side = Literal["exporter", "converter"]

# No id of the table has it.
MARK = "~"
NOW = "now"

# Behind it come the opset of a cell, or the build of an environment.
_NOW = re.compile(rf"{MARK}{NOW}(?=[@.]|$)")


def is_moved(name: str) -> bool:
    """Whether a row, an environment or a cell of this name is that of another time than its own."""
    return MARK in name


def is_now(name: str) -> bool:
    """Whether the cell, row or environment of this name is that of a run of now, not of a day that a search tried."""
    return any(_NOW.search(part) for part in name.split("/"))


def unmoved(name: str) -> str:
    """The cell, row or environment at its own time, of whatever other time `name` is."""
    return "/".join(_stem(part) for part in name.split("/"))


def moved_side(cell: str) -> Side | None:
    """Which environment of the cell with this id is of another time."""
    parts = cell.split("/")
    if is_moved(parts[-1]):
        return "converter"
    return "exporter" if is_moved(cell) else None


def of_now(cell: str) -> tuple[str, ...]:
    """Ids of the cells of now of the cell with this id: with the converter moved, and the exporter if it has one."""
    model, exporter, converter = unmoved(cell).split("/")
    name, at, opset = exporter.partition("@")
    found = (f"{model}/{exporter}/{converter}{MARK}{NOW}",)
    return (*found, f"{model}/{name}{MARK}{NOW}{at}{opset}/{converter}") if at else found


def moved_row(row: AnyRow, label: str, as_of: dt.date, python: str, within: Mapping[str, str] | None = None) -> AnyRow:
    """The row resolved as of a day for the same Python, under further ranges."""
    return row.model_copy(
        update={
            "id": f"{row.id}{MARK}{label}",
            "as_of": as_of,
            "python": python,
            "within": {**row.within, **(within or {})},
            "note": f"{row.id} as of {as_of}",
        }
    )


def moved_cell(cell: Cell, row: Row) -> Cell:
    """The cell with a row of another time in the place of its converter's or its exporter's."""
    if isinstance(row, ExporterRow):
        label = row.id.partition(MARK)[2]
        exporter = replace(cell.exporter, id=f"{cell.exporter.id}{MARK}{label}", row=row.id)
        return replace(cell, exporter=exporter, exporter_row=row)
    assert isinstance(row, ConverterRow)
    return replace(cell, converter=row)


def cells_of_now(
    cells: Sequence[Cell],
    exporters: Mapping[str, ExporterRow],
    lock_of: Callable[[Row], Lock | None],
    as_of: dt.date,
) -> tuple[Cell, ...]:
    """Every cell with its converter of now, and of each model, exporter and opset one cell with its exporter of now,
    the last: the newest converter is the likeliest to know what is written. Rows that are younger than that are left
    out: before its own time a row's pins were not there.

    `exporters` are rows by id; `lock_of` gives the lock of then, whose Python stays.
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
        row = exporters.get(cell.exporter.row) if cell is last[cell.model.id, cell.exporter.id, cell.opset] else None
        if row is not None and (exporter := now(row)) is not None:
            found.append(moved_cell(cell, exporter))
    return tuple(found)


def younger(cells: Sequence[Cell], of_now: Iterable[Cell]) -> list[str]:
    """Rows of `cells` that `cells_of_now` left out."""
    moved = {name for cell in of_now for name in (cell.converter.id, cell.exporter.row) if is_moved(name)}
    rows = {cell.converter.id for cell in cells} | {cell.exporter.row for cell in cells if cell.exporter.via != "file"}
    return sorted(rows - {unmoved(name) for name in moved})


def _stem(part: str) -> str:
    """`torch-1.12.1~now@15` → `torch-1.12.1@15`."""
    before, mark, after = part.partition(MARK)
    return f"{before}@{after.partition('@')[2]}" if mark and "@" in after else before
