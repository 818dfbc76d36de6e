"""Rows that say the same again, and observations that nobody speaks of any more, taken out in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, insert, select

from matrix.store.schema import CellRow, ObservationRow, RepeatRow

_CHUNK = 500


class Duplicate(NamedTuple):
    """A row of a cell that came to the same as an older one, `kept`; each with the rows of what a search did."""

    row: int
    searched: tuple[int, ...]
    kept: int
    kept_searched: tuple[int, ...]


class Thinning:
    """Over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fold(self, duplicates: Sequence[Duplicate]) -> None:
        """Let every run that shows a duplicate repeat the older row."""
        for start in range(0, len(duplicates), _CHUNK):
            part = duplicates[start : start + _CHUNK]
            shown = self._shown([item.row for item in part])
            gone = [row for item in part for row in (item.row, *item.searched)]
            for place in range(0, len(gone), _CHUNK):
                rows = gone[place : place + _CHUNK]
                self._connection.execute(delete(RepeatRow).where(RepeatRow.cell.in_(rows)))
                self._connection.execute(delete(CellRow).where(CellRow.id.in_(rows)))
            repeats = [
                {"run": run, "cell": row}
                for item in part
                for run in sorted(shown[item.row])
                for row in (item.kept, *item.kept_searched)
            ]
            self._connection.execute(insert(RepeatRow), repeats)

    def forget_observations(self, runs: Collection[int]) -> int:
        """Remove what these runs observed where no cell speaks of it and it is not the newest finding of its job; how
        many that were."""
        named = self._named()
        columns = (
            ObservationRow.id,
            ObservationRow.run,
            ObservationRow.job,
            ObservationRow.finding,
            ObservationRow.created,
        )
        newest: dict[str, tuple[dt.datetime, int]] = {}
        idle: list[tuple[str, int]] = []
        for number, run, job, finding, created in self._connection.execute(select(*columns)):
            if finding:
                newest[job] = max(newest.get(job, (created, number)), (created, number))
            if number not in named and run in runs:
                idle.append((job, number))
        gone = [number for job, number in idle if job not in newest or newest[job][1] != number]
        for start in range(0, len(gone), _CHUNK):
            chunk = gone[start : start + _CHUNK]
            self._connection.execute(delete(ObservationRow).where(ObservationRow.id.in_(chunk)))
        return len(gone)

    def _shown(self, rows: Collection[int]) -> Mapping[int, set[int]]:
        """By row the runs that show it."""
        shown: dict[int, set[int]] = {}
        for run, row in self._connection.execute(select(CellRow.run, CellRow.id).where(CellRow.id.in_(rows))):
            shown[row] = {run}
        for run, row in self._connection.execute(select(RepeatRow.run, RepeatRow.cell).where(RepeatRow.cell.in_(rows))):
            shown[row].add(run)
        return shown

    def _named(self) -> set[int]:
        named: set[int] = set()
        query = select(CellRow.export, CellRow.reference, CellRow.convert, CellRow.base, CellRow.further)
        for export, reference, convert, base, further in self._connection.execute(query):
            named |= {export, reference, convert}
            if base is not None and further is not None:
                named |= {*further.get("alter", ()), further.get("expose"), further.get("trace")}
        return named - {None}


@contextmanager
def thinning(engine: Engine, for_good: bool) -> Iterator[Thinning]:
    """All that the block takes out, or nothing: where it fails, and where it is not `for_good`."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield Thinning(connection)
        if not for_good:
            transaction.rollback()
