"""The shapes of what is stored: plain, frozen, and JSON both ways."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from matrix.config.ids import CellId

if TYPE_CHECKING:
    from matrix.config.model import Role

JobKind = Literal["export", "inspect", "alter", "reference", "expose", "convert", "trace", "coverage"]

Resolution = Literal["then", "now", "both"]

SCHEMA = 1

# Tiers of runs that nobody means who names none: they search, draw a picture, or decide no cell.
NOT_OF_CELLS = frozenset({"blame", "picture", "read", "coverage"})


@dataclass(frozen=True)
class Exit:
    """How a worker process ended. `signal` is set where a signal ended it; `oom` is the engine's own flag."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False


@dataclass(frozen=True)
class PassRecord:
    """What one worker left of one pass of a job. Three witnesses, kept apart: result file, exit status, limits.

    `result` is the worker's own report (converter/results.py) or None; `exit` is None where the worker lived on.
    `stopped` names the limit that ended it. `files` maps a file's name to its blob.
    """

    name: str
    result: dict[str, Any] | None
    exit: Exit | None
    stopped: Literal["timeout", "memory"] | None
    released: bool
    seconds: float
    log: str
    files: dict[str, str]


@dataclass(frozen=True)
class Obstacle:
    """Why a job could not start: no lock, no environment. `kind` as in BuildFailed, or `unsatisfiable`."""

    stage: Literal["lock", "build", "model", "run"]
    kind: Literal["unsatisfiable", "error", "infra", "unavailable"]
    reason: str
    text: str


@dataclass(frozen=True)
class Observation:
    """The raw facts one job left behind. Never edited; `id` and the `run` that made it are given by the store."""

    job: str
    kind: JobKind
    role: Role
    environment: str
    environment_id: str
    limits_seconds: float
    limits_memory_mb: int
    passes: tuple[PassRecord, ...] = ()
    obstacle: Obstacle | None = None
    installed: dict[str, str] = field(default_factory=dict)
    python: str = ""
    created: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    id: int | None = None
    run: int | None = None

    def file(self, name: str) -> str | None:
        """Blob of a file any pass left."""
        return next((p.files[name] for p in self.passes if name in p.files), None)

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of all passes together."""
        merged: dict[str, Any] = {}
        for record in self.passes:
            merged |= (record.result or {}).get("facts", {})
        return merged

    def payload(self) -> dict[str, Any]:
        """What goes into the database beside the columns."""
        return {
            "schema": SCHEMA,
            "passes": [dataclasses.asdict(record) for record in self.passes],
            "obstacle": dataclasses.asdict(self.obstacle) if self.obstacle else None,
            "installed": self.installed,
            "python": self.python,
        }


def passes_from(payload: dict[str, Any]) -> tuple[PassRecord, ...]:
    return tuple(
        PassRecord(**{**item, "exit": Exit(**item["exit"]) if item["exit"] else None}) for item in payload["passes"]
    )


def obstacle_from(payload: dict[str, Any]) -> Obstacle | None:
    return Obstacle(**payload["obstacle"]) if payload["obstacle"] else None


@dataclass(frozen=True)
class CellRecord:
    """One cell of one run: which observations speak about it. `export` is what an exporter, or the inspection of an
    .onnx file, left.

    What a search did for a cell is a record of its own whose `base` is that cell: with `changes` (kind and words)
    and the observations of the alterations made to the file, or with those that look for the diverging node.
    """

    cell: str
    model: str
    exporter: str
    torch: str
    opset: int
    converter: str
    export: int
    reference: int | None
    convert: int | None
    base: str | None = None
    changes: tuple[tuple[str, str], ...] = ()
    alter: tuple[int, ...] = ()
    expose: int | None = None
    trace: int | None = None

    @property
    def cell_id(self) -> CellId:
        """Parse its id."""
        return CellId.parse(self.cell, self.base)

    @property
    def observations(self) -> list[int]:
        """Ids of all observations that speak about it."""
        numbers = (self.export, *self.alter, self.reference, self.convert, self.expose, self.trace)
        return [number for number in numbers if number is not None]


@dataclass(frozen=True)
class Part:
    """One execution that a run consists of: the run itself, or one `shard`, I/N, of it. Parts of the same `partition`
    belong to the same cut of a plan of `whole` cells."""

    uid: str
    started: dt.datetime
    ended: dt.datetime | None
    status: str
    tier: str
    engine: str
    command: str
    planned: int
    jobs_run: int = 0
    jobs_cached: int = 0
    host: Mapping[str, Any] = field(default_factory=dict)
    whole: int | None = None
    shard: str | None = None
    partition: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """One execution of the plan, perhaps in several parts. `as_of` is the day that `now` was, None where nothing was
    resolved as of it. `id` is the number in this database, `uid` the name on every machine."""

    id: int
    started: dt.datetime
    ended: dt.datetime | None
    status: str
    tier: str
    engine: str
    command: str
    planned: int
    jobs_run: int
    jobs_cached: int
    resolution: Resolution = "then"
    as_of: dt.date | None = None
    uid: str = ""
    parts: tuple[Part, ...] = ()
