"""Locks that are in no lock file: those of `now`, and those that a search tried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from matrix.store.queries import newest_run
from matrix.store.schema import LockRow, ResolutionRow, RunRow

if TYPE_CHECKING:
    from matrix.packages.lock import Lock

# Fields of a lock that are columns, of the same names.
_LOCK = ("role", "python", "outcome", "body", "explanation")
_RESOLUTION = ("name", "as_of", "request", "resolver", "find_links")


class Resolutions:
    """Locks by run and environment. Equal locks are stored once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, run: int, locks: Iterable[Lock]) -> None:
        """Store locks that a run resolved; names that it stored before are skipped."""
        with Session(self._engine) as session, session.begin():
            known = set(session.scalars(select(ResolutionRow.name).where(ResolutionRow.run == run)))
            for lock in locks:
                if lock.name in known:
                    continue
                known.add(lock.name)
                if session.get(LockRow, lock.digest) is None:
                    session.add(LockRow(digest=lock.digest, **{name: getattr(lock, name) for name in _LOCK}))
                    session.flush()
                session.add(
                    ResolutionRow(run=run, lock=lock.digest, **{name: getattr(lock, name) for name in _RESOLUTION})
                )

    def of_run(self, run: int) -> dict[str, Lock]:
        """Return the locks that a run resolved, by name of the environment."""
        return self._read(select(ResolutionRow.id).where(ResolutionRow.run == run))

    def names(self) -> list[str]:
        """Return the names of all environments that have a lock here."""
        with Session(self._engine) as session:
            return sorted(session.scalars(select(ResolutionRow.name).distinct()))

    def newest(self, names: Iterable[str], before: int | None = None, with_drift: bool = False) -> dict[str, Lock]:
        """Return the newest lock of each environment.

        `before`: only of runs older than this one; `with_drift`: only of runs that have a drift report.
        """
        named = select(ResolutionRow.id).where(ResolutionRow.name.in_(sorted(set(names))))
        joined = named.join(RunRow, ResolutionRow.run == RunRow.id)
        return self._read(newest_run(joined, ResolutionRow.name, before=before, drift=with_drift))

    def _read(self, ids: Select[Any]) -> dict[str, Lock]:
        query = (
            select(ResolutionRow, LockRow)
            .join(LockRow, ResolutionRow.lock == LockRow.digest)
            .where(ResolutionRow.id.in_(ids))
        )
        with Session(self._engine) as session:
            return {row.name: _lock(row, lock) for row, lock in session.execute(query)}


def _lock(row: ResolutionRow, lock: LockRow) -> Lock:
    # Imported here: most commands that open a store need no lock.
    from matrix.packages.lock import Lock

    facts: dict[str, Any] = {name: getattr(lock, name) for name in _LOCK}
    return Lock(newest_pin=None, **facts, **{name: getattr(row, name) for name in _RESOLUTION})
