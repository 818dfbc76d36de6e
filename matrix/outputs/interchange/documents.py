"""The files of an export. They come from other machines: content that is not described here is refused."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

from matrix.store.runs import UID
from matrix.table.model import Role

SCHEMA = 1
KIND = "torch-tf-matrix history"


def _is_moment(text: str) -> str:
    dt.datetime.fromisoformat(text)
    return text


Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Blob = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Uid = Annotated[str, StringConstraints(pattern=f"^{UID.pattern}$")]
Moment = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$"),
    AfterValidator(_is_moment),
]
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$"), AfterValidator(_is_moment)]
# Names and command lines are printed as they are, and must not control a terminal.
_NAME, _TEXT = r"^[^\x00-\x1f\x7f-\x9f]*$", r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
Short = Annotated[str, StringConstraints(max_length=200, pattern=_NAME)]
Cell = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NAME)]
Count = Annotated[int, Field(ge=0, lt=2**31)]


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SpentDocument(Document):
    """What a part of a run took beside its jobs; `builds` are lists of an environment, its begin and its seconds."""

    cores: Count
    jobs: Count
    driver_cpu_seconds: FiniteFloat
    children_cpu_seconds: FiniteFloat
    builds: list[Annotated[list[Short | FiniteFloat], Field(min_length=3, max_length=3)]]


class PartDocument(Document):
    uid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    started: Moment
    ended: Moment | None
    status: Literal["complete", "interrupted", "failed", "killed"]
    tier: Annotated[str, StringConstraints(max_length=60, pattern=_NAME)]
    engine: Annotated[str, StringConstraints(max_length=20, pattern=_NAME)]
    command: Annotated[str, StringConstraints(max_length=100_000, pattern=_TEXT)]
    planned: Count
    jobs_run: Count
    jobs_cached: Count
    host: dict[Short, str | int | float | bool | SpentDocument | None]
    whole: Count | None
    shard: Annotated[str, StringConstraints(pattern=r"^\d{1,5}/\d{1,5}$")] | None
    partition: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")] | None


class DriftRow(BaseModel):
    """A row of a drift report: the fields that uniting two reports needs; the rest is only shown."""

    model_config = ConfigDict(extra="allow", strict=True)

    row: str
    first: bool = False
    outcome: dict[str, str] | None = None
    packages: dict[str, list[dict[str, str | None]]] = {}
    incidents: list[dict[str, str | bool | None]] = []
    verdicts: list[dict[str, Any]] = []
    unknown: list[str] = []


class DriftDocument(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    conclusion: str
    rows: list[DriftRow] = []


class RunDocument(Document):
    """runs/<uid>/run.json."""

    uid: Uid
    resolution: Literal["then", "now", "both"]
    as_of: Day | None
    drift: DriftDocument | None
    parts: Annotated[list[PartDocument], Field(min_length=1, max_length=1000)]


class DecidedDocument(Document):
    """The observations that a cell was decided by, each by the hash of its line."""

    model: Short
    exporter: Short
    torch: Short
    opset: Count
    converter: Short
    export: Hash
    reference: Hash | None
    convert: Hash | None
    forward: Hash | None = None


class Searched(DecidedDocument):
    """A search that was made for a cell."""

    cell: Cell
    changes: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    alter: list[Hash]
    expose: Hash | None
    trace: Hash | None


class CellLine(Document):
    """A line of runs/<uid>/cells.jsonl: a cell with the searches for it. `decided` is None if there was only a search,
    or if a model was read."""

    cell: Cell
    decided: DecidedDocument | None
    searched: list[Searched]


class ExitDocument(Document):
    code: int | None
    signal: int | None
    oom: bool


class ResultDocument(BaseModel):
    """The fields of a worker's report that are read."""

    model_config = ConfigDict(extra="allow", strict=True)

    stages: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    facts: dict[str, Any] = {}
    files: list[str] = []
    done: bool = False


class PassDocument(Document):
    name: Short
    result: ResultDocument | None
    exit: ExitDocument | None
    stopped: Literal["timeout", "memory"] | None
    released: bool
    seconds: FiniteFloat
    log: Blob
    files: dict[Short, Hash]
    artifact: Short = ""
    began: FiniteFloat = 0.0


class ObstacleDocument(Document):
    stage: Literal["lock", "build", "model", "run"]
    kind: Literal["unsatisfiable", "error", "infra", "unavailable"]
    reason: Short
    text: str


class Payload(Document):
    schema_: Literal[1] = Field(alias="schema")
    passes: list[PassDocument]
    obstacle: ObstacleDocument | None
    installed: dict[str, str]
    python: str
    family: Short = ""


class ObservationLine(Document):
    """A line of runs/<uid>/observations.jsonl."""

    job: Annotated[str, StringConstraints(max_length=64)]
    kind: Short
    role: Role
    environment: Short
    environment_id: Annotated[str, StringConstraints(max_length=64)]
    finding: bool
    limits_seconds: FiniteFloat
    limits_memory_mb: Count
    bounded: Literal["timeout", "oom"] | None
    created: Moment
    payload: Payload


class ResolutionLine(Document):
    """A line of runs/<uid>/resolutions.jsonl."""

    name: Annotated[str, StringConstraints(max_length=300)]
    as_of: Day
    request: Annotated[str, StringConstraints(max_length=64)]
    resolver: Annotated[str, StringConstraints(max_length=60)]
    find_links: bool
    lock: Hash


class LockDocument(Document):
    """locks/<digest>.json."""

    role: Role
    python: Annotated[str, StringConstraints(max_length=10)]
    outcome: Literal["resolved", "unsatisfiable"]
    body: str
    explanation: str

    @property
    def digest(self) -> str:
        """The same as Lock.digest."""
        parts = "\n".join([self.role, self.python, self.outcome, self.body or self.explanation])
        return hashlib.sha256(parts.encode()).hexdigest()


class BlameLine(Document):
    """A line of runs/<uid>/blames.jsonl; the story is without the number of its run."""

    cell: Cell
    created: Moment
    story: dict[str, Any]
    picture: str


class LegDocument(Document):
    """`method` is the hash of the code that compared, None if it was not recorded."""

    method: Hash | None = None
    reason: str | None
    detail: str
    metrics: dict[str, float | int | str | None]
    hints: list[str]
    blind: bool
    where: str | None


class ComparisonLine(Document):
    """A line of comparisons/<ab>.jsonl."""

    key: Hash
    value: LegDocument
