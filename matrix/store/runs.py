"""Rows of runs: the parts a run consists of, and the columns that they add up to."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from matrix.core.errors import StateInUse, UsageError
from matrix.store.records import RunPart, RunRecord
from matrix.store.schema import RunRow

# The id of a run on every machine; a folder is named after it.
UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Columns of a run that its record and its parts have too.
_SHARED = ("uid", "status", "tier", "engine", "command", "planned", "jobs_run", "jobs_cached")

_ENGINE_CHARACTERS = 20

# The status of a run that is not complete, the gravest first.
_NOT_COMPLETE = ("running", "failed", "killed", "interrupted")


def check_uid(uid: str) -> None:
    """Raise UsageError for a name that no run can have."""
    if not UID.fullmatch(uid):
        raise UsageError(
            f"--run-id {uid}: use at most 64 letters, digits, dots, dashes and underscores, the first a letter or digit"
        )


def utc(moment: dt.datetime) -> dt.datetime:
    """Return a time in UTC. SQLite returns times without their zone, which is UTC."""
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def run_record(row: RunRow) -> RunRecord:
    """Return the record of a row."""
    columns = {name: getattr(row, name) for name in ("id", "started", "ended", "resolution", "as_of", *_SHARED)}
    return RunRecord(**columns, parts=parts_of(row))


def parts_of(row: RunRow) -> tuple[RunPart, ...]:
    """Return the parts of a run; one that was not split is its only part."""
    if row.parts is not None:
        return tuple(part_from_json(item) for item in row.parts)
    columns = {name: getattr(row, name) for name in ("host", *_SHARED)}
    return (RunPart(started=utc(row.started), ended=utc(row.ended) if row.ended else None, **columns),)


def set_parts(row: RunRow, parts: Iterable[RunPart], split: bool = True) -> None:
    """Set a row's columns from its parts; `split` False: the one part is the run itself."""
    ordered = sorted(parts, key=lambda part: part.uid)
    if split:
        row.parts = [part_to_json(part) for part in ordered]
    for column, value in combined(ordered).items():
        setattr(row, column, value)


def part_to_json(part: RunPart) -> dict[str, Any]:
    """Return a part as JSON-ready data; `part_from_json` is the inverse."""
    return {
        **asdict(part),
        "started": utc(part.started).isoformat(timespec="microseconds"),
        "ended": utc(part.ended).isoformat(timespec="microseconds") if part.ended else None,
        "host": dict(part.host),
    }


def part_from_json(value: Mapping[str, Any]) -> RunPart:
    """Read what `part_to_json` returned. Raises KeyError, TypeError or ValueError for anything else."""
    ended = value["ended"]
    times = {
        "started": dt.datetime.fromisoformat(value["started"]),
        "ended": dt.datetime.fromisoformat(ended) if ended else None,
    }
    return RunPart(**{**value, **times})


def combined(parts: Iterable[RunPart]) -> dict[str, Any]:
    """Return the columns of a run that consists of these parts, in any order."""
    parts = sorted(parts, key=lambda part: part.uid)
    ends = [part.ended for part in parts]
    wholes = [part.whole for part in parts if part.whole is not None]
    found = {part.status for part in parts}
    return {
        "started": min(part.started for part in parts),
        "ended": None if None in ends else max(end for end in ends if end is not None),
        "status": next((status for status in _NOT_COMPLETE if status in found), "complete"),
        "tier": parts[0].tier,
        "engine": "+".join(sorted({name for part in parts for name in part.engine.split("+")}))[:_ENGINE_CHARACTERS],
        "command": parts[0].command,
        "planned": max(wholes) if wholes else sum(part.planned for part in parts),
        "jobs_run": sum(part.jobs_run for part in parts),
        "jobs_cached": sum(part.jobs_cached for part in parts),
        "host": dict(parts[0].host),
    }


def reopen(row: RunRow, begun: RunPart, shard: bool) -> None:
    """Add a part that begins to a run that exists. Raises StateInUse where the same part is running elsewhere."""
    before = {part.uid: part for part in parts_of(row)}
    own = before.pop(begun.uid, None)
    if own is not None:
        if own.status == "running":
            raise StateInUse(
                f"run {row.uid} is running with another --state; wait for it, or give this one another --run-id"
            )
        begun = replace(begun, started=own.started)
    if row.parts is not None or shard:
        set_parts(row, [*before.values(), begun])
    else:
        set_parts(row, [begun], split=False)


def close_killed(session: Session, state: object) -> None:
    """Close as `killed` the runs and parts that killed drivers of a state folder left open."""
    for row in session.scalars(select(RunRow).where(RunRow.status == "running")):
        if row.parts is not None:
            set_parts(row, [_killed(part, state) for part in parts_of(row)])
        elif row.host.get("state") == state:
            row.status = "killed"


def _killed(part: RunPart, state: object) -> RunPart:
    left = part.status == "running" and part.host.get("state") == state
    return replace(part, status="killed") if left else part
