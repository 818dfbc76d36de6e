"""The stored types: frozen dataclasses, convertible to JSON and back."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from matrix.table.ids import FIRST_FAMILY, CellId

if TYPE_CHECKING:
    from matrix.table.model import Role

# A key of execution/job_types.py.
JobKind = str

Resolution = Literal["then", "now", "both"]

SCHEMA = 1

# Tiers of runs that are no default for commands: they search, draw a picture, or decide no cell.
NOT_OF_CELLS = frozenset({"blame", "picture", "read", "coverage"})


@dataclass(frozen=True)
class Exit:
    """How a worker process ended. `signal` is set where a signal ended it; `oom` is the engine's flag."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False


@dataclass(frozen=True)
class Pass:
    """One pass of a job: the work of one worker, done by a `module` of converter/.

    `leaves` are the only files taken out of its folder. A pass that loads what the previous one saved names the kinds
    of artifact that it `loads`, one of which must have been kept, and in `makes` the kind it turns that into, if any.
    For such a pass, `numbers` is the file of arrays to compare with the file `against`, on a `leg`; `words` describe a
    mismatch there.
    """

    module: str
    leaves: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    makes: str = ""
    numbers: str = ""
    against: str = ""
    leg: str = ""
    words: str = ""

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Pass:
        """Read the result of `dataclasses.asdict`, also after a round trip through JSON."""
        fields: dict[str, Any] = {}
        for name, value in document.items():
            fields[name] = tuple(value) if isinstance(value, list) else value
        return cls(**fields)

    @property
    def name(self) -> str:
        """The name of its worker, log and report."""
        return self.module.rpartition(".")[2]


@dataclass(frozen=True)
class PassRecord:
    """The record of one pass of a job. Result file, exit status and limits are kept separately.

    `result` is the worker's report (converter/results.py) or None; `exit` is None where the worker went on to the next
    job. `stopped` names the limit that ended it. `files` maps a file's name to its blob. `artifact` is the kind of
    artifact that the pass loaded, if any. `began` is when the worker was given the job (seconds since 1970; 0 in
    records of older versions).
    """

    name: str
    result: dict[str, Any] | None
    exit: Exit | None
    stopped: Literal["timeout", "memory"] | None
    released: bool
    seconds: float
    log: str
    files: dict[str, str]
    artifact: str = ""
    began: float = 0.0

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that the worker reported."""
        facts = (self.result or {}).get("facts")
        return facts if isinstance(facts, dict) else {}


@dataclass(frozen=True)
class Obstacle:
    """Why a job could not start: no lock, no environment. `kind` as in BuildFailed, or `unsatisfiable`."""

    stage: Literal["lock", "build", "model", "run"]
    kind: Literal["unsatisfiable", "error", "infra", "unavailable"]
    reason: str
    text: str


# Fields of an observation that are columns of its row, of the same names.
OBSERVATION_COLUMNS = (
    *("job", "kind", "role", "environment", "environment_id", "limits_seconds", "limits_memory_mb", "created"),
)


@dataclass(frozen=True)
class Observation:
    """The raw facts of one job, never edited.

    The store sets `id` and `run`. `family` is the family of the converter whose job it was, '' for other jobs.
    """

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
    family: str = ""

    def file(self, name: str) -> str | None:
        """Return the blob of a file that any pass left, or None."""
        return next((p.files[name] for p in self.passes if name in p.files), None)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of all passes."""
        merged: dict[str, Any] = {}
        for record in self.passes:
            merged |= record.facts
        return merged

    @property
    def artifacts(self) -> tuple[tuple[str, PassRecord], ...]:
        """Each kind of artifact, with the pass that loaded it."""
        named = ((_artifact(record, self.facts), record) for record in self.passes)
        return tuple((artifact, record) for artifact, record in named if artifact)

    def payload(self) -> dict[str, Any]:
        """Return what the database stores beside the columns."""
        return {
            "schema": SCHEMA,
            "passes": [dataclasses.asdict(record) for record in self.passes],
            "obstacle": dataclasses.asdict(self.obstacle) if self.obstacle else None,
            "installed": self.installed,
            "python": self.python,
            "family": self.family,
        }

    def document(self) -> dict[str, Any]:
        """Return the observation as JSON-ready data; `from_document` is the inverse."""
        columns = {name: getattr(self, name) for name in (*OBSERVATION_COLUMNS, "id", "run")}
        return {**columns, "created": self.created.isoformat(), **self.payload()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Observation:
        """Read the result of `document`. Raises KeyError, TypeError or ValueError for anything else."""
        if document["schema"] != SCHEMA:
            raise ValueError(f"an observation of schema {document['schema']!r}; this version reads {SCHEMA}")
        columns = {name: value for name, value in document.items() if name not in ("schema", "passes", "obstacle")}
        return cls(
            **{**columns, "created": dt.datetime.fromisoformat(document["created"])},
            passes=passes_from(document),
            obstacle=obstacle_from(document),
        )


def _artifact(record: PassRecord, facts: Mapping[str, Any]) -> str:
    """Return the kind of artifact that a pass loaded. Old records do not have it: derive it from the pass's name."""
    if record.artifact or record.name not in ("reload", "tflite"):
        return record.artifact
    return str(facts.get("saved") or "saved-model") if record.name == "reload" else "tflite"


def family_from(payload: Mapping[str, Any], role: str) -> str:
    """Return the family of a stored observation."""
    return str(payload.get("family", FIRST_FAMILY if role == "converter" else ""))


def passes_from(payload: Mapping[str, Any]) -> tuple[PassRecord, ...]:
    return tuple(
        PassRecord(**{**item, "exit": Exit(**item["exit"]) if item["exit"] else None}) for item in payload["passes"]
    )


def obstacle_from(payload: Mapping[str, Any]) -> Obstacle | None:
    return Obstacle(**payload["obstacle"]) if payload["obstacle"] else None


@dataclass(frozen=True)
class CellRecord:
    """One cell of one run, and the observations it is judged by. `export` is that of an exporter, or of the inspection
    of an .onnx file; `forward` ran the model for several exports, which took its outputs.

    A search for a cell adds a record whose `base` is that cell, with `changes` (kind and text) and the observations of
    alterations of the file, or with the observations of the search for the diverging node.
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
    forward: int | None = None

    @property
    def cell_id(self) -> CellId:
        """The parsed id."""
        return CellId.parse(self.cell, self.base)

    @property
    def observations(self) -> list[int]:
        """The ids of all its observations."""
        numbers = (self.forward, self.export, *self.alter, self.reference, self.convert, self.expose, self.trace)
        return [number for number in numbers if number is not None]


@dataclass(frozen=True)
class RunPart:
    """One execution of a run: the run itself, or one `shard`, I/N, of it. Parts with the same `partition` are shards of
    the same plan of `whole` cells."""

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
    """One execution of the plan, perhaps in several parts.

    `as_of` is the date of `now`, None where nothing was resolved as of it. `id` is the number in this database, `uid`
    the id on every machine.
    """

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
    parts: tuple[RunPart, ...] = ()
