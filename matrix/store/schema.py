"""The tables. Only what SQLAlchemy offers on every database; the history of changes is in migrations/."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, Date, DateTime, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEAD = "0004"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class RunRow(Base):
    __tablename__ = "run"
    __table_args__ = (Index(None, "uid", unique=True),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    started: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    ended: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(20))
    tier: Mapped[str] = mapped_column(String(60))
    engine: Mapped[str] = mapped_column(String(20))
    command: Mapped[str] = mapped_column(Text)
    planned: Mapped[int] = mapped_column(Integer)
    jobs_run: Mapped[int] = mapped_column(Integer, default=0)
    jobs_cached: Mapped[int] = mapped_column(Integer, default=0)
    host: Mapped[dict[str, Any]] = mapped_column(JSON)
    # then, now or both; and the day that now was, None where nothing was resolved as of it.
    resolution: Mapped[str] = mapped_column(String(10), default="then", server_default="then")
    as_of: Mapped[dt.date | None] = mapped_column(Date)
    # What became of every row since the last run of now, with what the index said on that day.
    drift: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    # Its name on every machine; the number is this database's own.
    uid: Mapped[str] = mapped_column(String(64))
    # The executions it consists of (parts.py); null: it is its own only part.
    parts: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))


class ObservationRow(Base):
    __tablename__ = "observation"
    __table_args__ = (Index(None, "job", "finding"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("run.id"))
    job: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(20))
    environment: Mapped[str] = mapped_column(String(200))
    environment_id: Mapped[str] = mapped_column(String(64))
    finding: Mapped[bool] = mapped_column()
    limits_seconds: Mapped[float] = mapped_column()
    limits_memory_mb: Mapped[int] = mapped_column(Integer)
    # Set for a timeout or oom: a finding only under limits no wider than these.
    bounded: Mapped[str | None] = mapped_column(String(20))
    created: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)


class CellRow(Base):
    __tablename__ = "cell"
    __table_args__ = (Index(None, "run", "cell", unique=True), Index(None, "cell"), Index(None, "base"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("run.id"))
    cell: Mapped[str] = mapped_column(String(500))
    model: Mapped[str] = mapped_column(String(200))
    exporter: Mapped[str] = mapped_column(String(200))
    torch: Mapped[str] = mapped_column(String(60))
    opset: Mapped[int] = mapped_column(Integer)
    converter: Mapped[str] = mapped_column(String(200))
    export: Mapped[int] = mapped_column(ForeignKey("observation.id"))
    reference: Mapped[int | None] = mapped_column(ForeignKey("observation.id"))
    convert: Mapped[int | None] = mapped_column(ForeignKey("observation.id"))
    base: Mapped[str | None] = mapped_column(String(500))
    # What only a search adds: changes, alter, expose, trace.
    further: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class RepeatRow(Base):
    """A run that came to the same as an earlier one did of a cell: `cell` is the row of that one."""

    __tablename__ = "repeat"
    __table_args__ = (Index(None, "cell"),)

    run: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    cell: Mapped[int] = mapped_column(ForeignKey("cell.id"), primary_key=True)


class LockRow(Base):
    """What an environment consists of. Many resolutions come to the same, and it is long."""

    __tablename__ = "lock"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    python: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(String(20))
    body: Mapped[str] = mapped_column(Text)
    explanation: Mapped[str] = mapped_column(Text)


class ResolutionRow(Base):
    """A lock that a run made for an environment of its own, which no file holds."""

    __tablename__ = "resolution"
    __table_args__ = (Index(None, "run", "name", unique=True), Index(None, "name"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("run.id"))
    name: Mapped[str] = mapped_column(String(300))
    as_of: Mapped[dt.date] = mapped_column(Date)
    request: Mapped[str] = mapped_column(String(64))
    resolver: Mapped[str] = mapped_column(String(60))
    find_links: Mapped[bool] = mapped_column()
    lock: Mapped[str] = mapped_column(ForeignKey("lock.digest"))


class BlameRow(Base):
    """What a search for the culprit concluded about a cell. The runs it made are cells of `run`."""

    __tablename__ = "blame"
    __table_args__ = (Index(None, "cell"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("run.id"))
    cell: Mapped[str] = mapped_column(String(500))
    created: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    story: Mapped[dict[str, Any]] = mapped_column(JSON)
    picture: Mapped[str] = mapped_column(Text)


class DerivedRow(Base):
    """Results of pure functions over stored facts; may be emptied at any time."""

    __tablename__ = "derived"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)


class ComparisonRow(Base):
    """What comparing two files of arrays gave, for machines that do not have the arrays."""

    __tablename__ = "comparison"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
