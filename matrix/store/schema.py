"""The tables, in types that SQLAlchemy has for every database. Migrations are in migrations/."""

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
    # then, now or both; and the date of `now`, None where nothing was resolved as of it.
    resolution: Mapped[str] = mapped_column(String(10), default="then", server_default="then")
    as_of: Mapped[dt.date | None] = mapped_column(Date)
    # The drift report: changes of every row since the previous run of `now`, with the index's data of that day.
    drift: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    # Its id on every machine; the number is only valid in this database.
    uid: Mapped[str] = mapped_column(String(64))
    # The parts it consists of (runs.py); null: it was not split.
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
    # Set for a timeout or oom: the finding is only valid under limits no wider than these.
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
    # Beside the observation `forward`, set only for records of a search: changes, alter, expose, trace.
    further: Mapped[dict[str, Any] | None] = mapped_column(JSON)


class RepeatRow(Base):
    """A run that had the same result for a cell as an earlier run: `cell` is the row of that run."""

    __tablename__ = "repeat"
    __table_args__ = (Index(None, "cell"),)

    run: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    cell: Mapped[int] = mapped_column(ForeignKey("cell.id"), primary_key=True)


class LockRow(Base):
    """The packages of an environment, stored once for all resolutions with the same result, because they are long."""

    __tablename__ = "lock"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    python: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(String(20))
    body: Mapped[str] = mapped_column(Text)
    explanation: Mapped[str] = mapped_column(Text)


class ResolutionRow(Base):
    """A lock that a run resolved and that is in no lock file."""

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
    """The result of `blame` for a cell. What it measured are cells of `run`."""

    __tablename__ = "blame"
    __table_args__ = (Index(None, "cell"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    run: Mapped[int] = mapped_column(ForeignKey("run.id"))
    cell: Mapped[str] = mapped_column(String(500))
    created: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))
    story: Mapped[dict[str, Any]] = mapped_column(JSON)
    picture: Mapped[str] = mapped_column(Text)


class DerivedRow(Base):
    """A cache of pure functions over stored facts; may be emptied at any time."""

    __tablename__ = "derived"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)


class ComparisonRow(Base):
    """Results of comparing two files of arrays, for machines that do not have the arrays."""

    __tablename__ = "comparison"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
