"""Remove duplicate rows of cells, and observations that no cell refers to, in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, insert, select

from matrix.store.queries import chunked
from matrix.store.schema import CellRow, ObservationRow, RepeatRow


class Duplicate(NamedTuple):
    """A row of a cell with the same result as an older one, `kept`; each with the rows of its searches."""

    row: int
    searched: tuple[int, ...]
    kept: int
    kept_searched: tuple[int, ...]


class Pruner:
    """Removes rows over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fold(self, duplicates: Sequence[Duplicate]) -> None:
        """Replace duplicates: every run that shows one repeats the older row instead."""
        for part in chunked(duplicates):
            shown = self._shown([item.row for item in part])
            gone = [row for item in part for row in (item.row, *item.searched)]
            for rows in chunked(gone):
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
        """Remove observations of these runs that no cell refers to and that are not the newest finding of their job.

        Returns their number.
        """
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
        for chunk in chunked(gone):
            self._connection.execute(delete(ObservationRow).where(ObservationRow.id.in_(chunk)))
        return len(gone)

    def _shown(self, rows: Collection[int]) -> Mapping[int, set[int]]:
        """Map each row to the runs that show it."""
        shown: dict[int, set[int]] = {}
        for run, row in self._connection.execute(select(CellRow.run, CellRow.id).where(CellRow.id.in_(rows))):
            shown[row] = {run}
        for run, row in self._connection.execute(select(RepeatRow.run, RepeatRow.cell).where(RepeatRow.cell.in_(rows))):
            shown[row].add(run)
        return shown

    def _named(self) -> set[int]:
        named: set[int] = set()
        query = select(CellRow.export, CellRow.reference, CellRow.convert, CellRow.further)
        for export, reference, convert, further in self._connection.execute(query):
            named |= {export, reference, convert}
            if further is not None:
                named |= {*further.get("alter", ()), *map(further.get, ("expose", "trace", "forward"))}
        return named - {None}


@contextmanager
def pruning(engine: Engine, permanent: bool) -> Iterator[Pruner]:
    """Commit everything the block removes, or nothing: where it fails, and where it is not `permanent`."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield Pruner(connection)
        if not permanent:
            transaction.rollback()
