"""Stored results of `blame`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from matrix.store.queries import newest
from matrix.store.schema import BlameRow


@dataclass(frozen=True)
class BlameRecord:
    """One search as data, and its timeline as SVG text. `run` is the run that measured for it."""

    cell: str
    run: int
    created: dt.datetime
    story: Mapping[str, Any]
    picture: str


class Blames:
    """Results by cell; earlier results of a cell are kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, run: int, cell: str, story: Mapping[str, Any], picture: str) -> None:
        with Session(self._engine) as session, session.begin():
            created = dt.datetime.now(dt.UTC)
            session.add(BlameRow(run=run, cell=cell, created=created, story=dict(story), picture=picture))

    def newest(self, cells: Iterable[str]) -> dict[str, BlameRecord]:
        """Return the newest result of each of these cells."""
        order = (BlameRow.created.desc(), BlameRow.id.desc())
        ids = newest(select(BlameRow.id).where(BlameRow.cell.in_(sorted(set(cells)))), BlameRow.cell, *order)
        with Session(self._engine) as session:
            rows = session.scalars(select(BlameRow).where(BlameRow.id.in_(ids)))
            return {row.cell: BlameRecord(row.cell, row.run, row.created, row.story, row.picture) for row in rows}
