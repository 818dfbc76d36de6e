"""Building blocks of queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, null, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from matrix.store.schema import RunRow

_Value = TypeVar("_Value", bound=int | str | tuple[Any, ...])

# Values in one IN clause: databases limit their number.
_CHUNK = 500


def chunked(values: Iterable[_Value]) -> Iterator[list[_Value]]:
    """Yield the distinct values, sorted, in lists that are short enough for an IN clause."""
    wanted = sorted(set(values))
    for start in range(0, len(wanted), _CHUNK):
        yield wanted[start : start + _CHUNK]


def newest(query: Select[Any], group: InstrumentedAttribute[Any], *order: ColumnElement[Any]) -> Select[Any]:
    """Return the first row of each group, in the given order, without the columns used for ordering."""
    place = func.row_number().over(partition_by=group, order_by=order).label("place")
    ranked = query.add_columns(place).subquery()
    return select(*(column for column in ranked.c if column.name != "place")).where(ranked.c.place == 1)


def newest_run(
    query: Select[Any], group: InstrumentedAttribute[Any], *order: ColumnElement[Any], before: int | None, drift: bool
) -> Select[Any]:
    """Return the row of the newest run for each group; `query` joins RunRow.

    `before`: only of runs older than this one; `drift`: only of runs that have a drift report.
    """
    if before is not None:
        query = query.where(_older(before))
    if drift:
        query = query.where(RunRow.drift.is_not(null()))
    return newest(query, group, RunRow.started.desc(), RunRow.id.desc(), *order)


def _older(run: int) -> ColumnElement[bool]:
    """Return the condition that a row of runs began before run `run`."""
    other = aliased(RunRow)
    started = select(other.started).where(other.id == run).scalar_subquery()
    return (RunRow.started < started) | ((RunRow.started == started) & (RunRow.id < run))
