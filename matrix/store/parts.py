"""The executions that a run consists of, and what they come to as a whole."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from matrix.core.errors import UsageError
from matrix.store.records import RunPart
from matrix.store.schema import RunRow

# A run's name on every machine is also the name of a folder in an export.
UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_ENGINE_CHARACTERS = 20

# What a run is called that is neither under way nor complete, the gravest first.
_NOT_COMPLETE = ("running", "failed", "killed", "interrupted")


def check_uid(uid: str) -> None:
    """Raise UsageError for a name that no run can have."""
    if not UID.fullmatch(uid):
        raise UsageError(
            f"--run-id {uid}: use at most 64 letters, digits, dots, dashes and underscores, the first a letter or digit"
        )


def utc(moment: dt.datetime) -> dt.datetime:
    """SQLite gives times back without their zone, which is UTC."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def of_run(row: RunRow) -> tuple[RunPart, ...]:
    """The parts of a run; the run itself where nothing else is said."""
    if row.parts is not None:
        return tuple(from_json(item) for item in row.parts)
    return (
        RunPart(
            row.uid,
            utc(row.started),
            utc(row.ended) if row.ended else None,
            row.status,
            row.tier,
            row.engine,
            row.command,
            row.planned,
            row.jobs_run,
            row.jobs_cached,
            row.host,
        ),
    )


def to_json(part: RunPart) -> dict[str, Any]:
    return {
        **asdict(part),
        "started": utc(part.started).isoformat(timespec="microseconds"),
        "ended": utc(part.ended).isoformat(timespec="microseconds") if part.ended else None,
        "host": dict(part.host),
    }


def from_json(value: Mapping[str, Any]) -> RunPart:
    ended = value["ended"]
    return RunPart(
        **{
            **value,
            "started": dt.datetime.fromisoformat(value["started"]),
            "ended": dt.datetime.fromisoformat(ended) if ended else None,
        }
    )


def together(parts: Sequence[RunPart]) -> dict[str, Any]:
    """The columns of a run that consists of these parts, in whatever order."""
    parts = sorted(parts, key=lambda part: part.uid)
    open_ = [part for part in parts if part.ended is None]
    wholes = [part.whole for part in parts if part.whole is not None]
    found = {part.status for part in parts}
    return {
        "started": min(part.started for part in parts),
        "ended": None if open_ else max(part.ended for part in parts if part.ended is not None),
        "status": next((status for status in _NOT_COMPLETE if status in found), "complete"),
        "tier": parts[0].tier,
        "engine": "+".join(sorted({name for part in parts for name in part.engine.split("+")}))[:_ENGINE_CHARACTERS],
        "command": parts[0].command,
        "planned": max(wholes) if wholes else sum(part.planned for part in parts),
        "jobs_run": sum(part.jobs_run for part in parts),
        "jobs_cached": sum(part.jobs_cached for part in parts),
        "host": dict(parts[0].host),
    }


def older(run: int) -> ColumnElement[bool]:
    """Whether a row of runs began before run `run` did."""
    other = aliased(RunRow)
    started = select(other.started).where(other.id == run).scalar_subquery()
    return (RunRow.started < started) | ((RunRow.started == started) & (RunRow.id < run))
