"""The tables. Only what SQLAlchemy offers on every database; the history of changes is in migrations/."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HEAD = "0002"


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
    __table_args__ = (Index(None, "run", "cell", unique=True),)

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


class DerivedRow(Base):
    """Results of pure functions over stored facts; may be emptied at any time."""

    __tablename__ = "derived"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(JSON)
