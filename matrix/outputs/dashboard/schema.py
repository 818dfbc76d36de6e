"""The shape of the shards, as models and as the JSON Schema that goes with every site.

Keys may be added, never renamed; what a shard means is in docs/dashboard.md.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from matrix.table.model import Role, Verdict

Count = int
Position = int
Package = tuple[str, str | None, str | None]
"""Name, version before, version after; None: not installed."""
RunPair = tuple[Position, int, int]
"""Run, match, findings."""


class _Shard(BaseModel):
    schema_: Literal[1] = Field(alias="schema")


class RunChanges(BaseModel):
    broke: Count
    mended: Count
    changed: Count
    new: Count
    silent: Count


class RunShape(BaseModel):
    id: int
    uid: str
    started: str
    ended: str | None
    status: str
    tier: str
    engine: str
    resolution: Literal["then", "now", "both"]
    as_of: str | None
    planned: Count
    cells: Count
    jobs_run: Count
    jobs_cached: Count
    seconds: float | None
    counts: dict[Verdict, Count]
    changes: RunChanges


class ModelShape(BaseModel):
    id: str
    cells: Count
    match: Count
    findings: Count
    shard: str


class PackageShape(BaseModel):
    """`short` is the title where there is little room, `also` what else a filter takes for the name."""

    name: str
    title: str
    short: str
    also: list[str]


class FamilyShape(BaseModel):
    """`package` is the converter itself, `newest` which packages decide what is newest, `stages` the way of a
    conversion, `legs` what was held against what: the id of a comparison, and words."""

    name: str
    title: str
    source: Literal["onnx", "torch"]
    package: str | None
    runtime: str
    packages: list[PackageShape]
    newest: list[str]
    stages: list[str]
    legs: list[tuple[str, str]]


class ExporterShape(BaseModel):
    """`writes` is False for what stands in the place of an exporter: `file`, `direct`. `variant` is what the id says
    beyond torch."""

    id: str
    torch: str
    python: str
    writes: bool
    variant: str


class Converter(BaseModel):
    """`now` is what it is called in the ids of cells whose converter is of now. The `versions` of its family's packages
    are there by name too, beside the keys below. `variant` is what the id says beyond them."""

    model_config = ConfigDict(extra="allow")

    id: str
    now: str
    family: str
    versions: dict[str, str]
    variant: str
    python: str
    page: str | None
    match: Count
    findings: Count


class ConclusionShape(BaseModel):
    verdict: Verdict
    role: Role | None
    stage: str | None
    reason: str | None
    title: str
    remedied: list[str] | None


class ReasonSummary(BaseModel):
    title: str
    page: str
    cells: Count


class VerdictShape(BaseModel):
    id: Verdict
    text: str
    indeterminate: bool


class RegressionShape(BaseModel):
    key: str
    new: bool
    run: Position
    title: str
    reason: str | None
    role: Role | None
    stage: str | None
    environment: str
    cells: list[str]
    count: Count
    before_run: Position
    said: str
    why: str
    packages: list[Package]
    blame: str | None


class Site(_Shard):
    """`site`"""

    generated: str
    title: str
    version: str
    runs: list[RunShape]
    models: list[ModelShape]
    families: list[FamilyShape]
    exporters: list[ExporterShape]
    converters: list[Converter]
    conclusions: list[ConclusionShape]
    reasons: dict[str, ReasonSummary]
    verdicts: list[VerdictShape]
    cell_shards: int = Field(ge=1)
    regressions: list[RegressionShape]


class Matrix(_Shard):
    """`matrix/SLUG`

    `ids` are by column what the ids of its cells begin with, and of those whose exporter is of now (null: there is no
    exporter). Behind it follows the row's `id`, or its `now`: that is all that is needed to make an id, and ids are
    not to be taken apart.
    """

    model: str
    rows: list[Position]
    columns: list[tuple[Position, int]]
    ids: list[tuple[str, str | None]]
    cells: list[tuple[Position, Position, Literal[0, 1, 2], Position, Position, list[Position]]]


class Words(BaseModel):
    id: str
    text: str


class Siblings(BaseModel):
    then: str | None
    converter_now: str | None
    exporter_now: str | None


class ObstacleShape(BaseModel):
    stage: str
    kind: str
    reason: str
    text: str


class ExitShape(BaseModel):
    code: int | None
    signal: int | None
    oom: bool


class StageShape(BaseModel):
    stage: str
    status: str
    seconds: float | None


class Raised(BaseModel):
    type: str
    message: str
    traceback: str


class LogPlace(BaseModel):
    shard: str
    key: str
    bytes: int


class PassShape(BaseModel):
    name: str
    seconds: float
    stopped: Literal["timeout", "memory"] | None
    exit: ExitShape | None
    stages: list[StageShape]
    error: Raised | None
    log: LogPlace | None


class ObservationShape(BaseModel):
    role: Role
    kind: str
    environment: str
    environment_shard: str
    python: str
    run: Position | None
    created: str
    obstacle: ObstacleShape | None
    passes: list[PassShape]


class BlameShape(BaseModel):
    answer: str
    created: str
    picture: str | None
    culprits: list[dict[str, str | None]]
    cure: str | None


class TrialShape(BaseModel):
    changes: list[str]
    verdict: Verdict
    role: Role | None
    stage: str | None
    reason: str | None
    title: str
    metrics: dict[str, Any]
    legs: dict[str, dict[str, Any]]
    remarks: list[str]


class FindingShape(BaseModel):
    verdict: Verdict
    role: Role | None
    stage: str | None
    reason: str | None
    title: str
    said: str


class CellShape(BaseModel):
    """The versions of its family's packages are there by name, beside the keys below; null: not known. `artifacts` has
    the finding on each kind of artifact by itself."""

    model_config = ConfigDict(extra="allow")

    cell: str
    model: str
    exporter: str
    torch: str
    opset_asked: int
    opset_written: int | None
    converter: str
    family: str
    python: str
    distributions: dict[str, str]
    verdict: Verdict
    indeterminate: bool
    role: Role | None
    stage: str | None
    reason: str | None
    title: str
    cause: str
    said: str
    remedies: list[Words]
    remarks: list[str]
    leg: str | None
    metrics: dict[str, Any]
    legs: dict[str, dict[str, Any]]
    artifacts: dict[str, FindingShape]
    general: bool
    onnx_release: dict[str, Any] | None
    divergence: dict[str, Any] | None
    remedied: list[str] | None
    tried: list[TrialShape]
    conclusion: Position
    run: Position
    siblings: Siblings
    observations: list[ObservationShape]
    history: list[tuple[Position, Position]]
    decided: int = Field(ge=1)
    reproduce: list[str]
    blame: BlameShape | None


class CellsShard(_Shard):
    """`cells/N`, N being FNV-1a (32 bits) of the cell's id in UTF-8, modulo `cell_shards`"""

    cells: dict[str, CellShape]


class EnvironmentShape(_Shard):
    """`environments/KEY`"""

    name: str
    role: Role
    python: str
    engine: str | None
    id: str
    image: str | None
    installed: dict[str, str]
    lock: str | None
    as_of: str | None


class Log(BaseModel):
    text: str
    bytes: int
    left_out: int


class LogsShard(_Shard):
    """`logs/N`"""

    logs: dict[str, Log]


class ChangeShape(BaseModel):
    """`exporter` and `converter` are positions in the `environments` of the shard."""

    cell: str
    exporter: Position
    converter: Position
    kind: Literal["broke", "mended", "changed", "new"]
    before: Position | None
    after: Position
    before_run: Position | None
    packages: list[Package]
    same_environment: bool
    why: str
    blame: str | None


class ChangesShard(_Shard):
    """`changes/RUN`, RUN being the run's position in `site`"""

    run: Position
    environments: list[str]
    changes: list[ChangeShape]


class Trends(_Shard):
    """`trends`"""

    runs: list[Position]
    by_tier: dict[str, list[RunPair]]
    by_row: dict[str, list[RunPair]]
    duration: list[tuple[Position, float]]
    cache: list[tuple[Position, Count, Count]]


class PinsShape(BaseModel):
    """By position in the site: what to install, as requirements in one line."""

    exporters: dict[str, str]
    converters: dict[str, str]


class Pick(_Shard):
    """`pick`

    `ids` are by exporter and opset what stands in the ids of cells between the name of the model and the row's `id`.
    """

    models: list[str]
    pins: PinsShape
    toolchains: list[tuple[Position, int, Position, list[Position], list[Position], list[Position]]]
    ids: list[tuple[Position, int, str]]


class CoverageRow(BaseModel):
    """The versions that name the row are there by package too; `label` is what to show of them."""

    model_config = ConfigDict(extra="allow")

    row: str
    onnx: str
    label: list[str]
    cases: Count
    match: Count
    unsupported: Count
    wrong: Count
    other: Count
    share: float
    share_with_not_implemented_as_passed: float
    shard: str


class Operator(BaseModel):
    operator: str
    found: dict[str, tuple[Literal["supported", "partial", "unsupported", "wrong", "failing"], Count, Count]]


class UnmeasuredRow(BaseModel):
    row: str
    verdict: Verdict
    stage: str
    reason: str


class CoverageSummary(_Shard):
    """`coverage`"""

    rows: list[CoverageRow]
    operators: list[Operator]
    unmeasured: list[UnmeasuredRow]


class CaseShape(BaseModel):
    name: str
    suite: str
    operators: list[str]
    verdict: str
    stage: str
    reason: str
    said: str


class CoverageOfRow(_Shard):
    """`coverage/SLUG`"""

    row: str
    cases: list[CaseShape]


SHARDS: dict[str, type[_Shard]] = {
    "site": Site,
    "matrix/*": Matrix,
    "cells/*": CellsShard,
    "environments/*": EnvironmentShape,
    "logs/*": LogsShard,
    "changes/*": ChangesShard,
    "trends": Trends,
    "pick": Pick,
    "coverage": CoverageSummary,
    "coverage/*": CoverageOfRow,
}


def json_schema() -> dict[str, Any]:
    """Definitions of all shards; `shards` says which of them a file below data/ is."""
    references, schema = models_json_schema([(model, "validation") for model in SHARDS.values()])
    of_model = {model: reference for (model, _), reference in references.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Data of the torch-tf-matrix dashboard",
        "description": "Every file below data/ is one of these; keys may be added, never renamed.",
        "anyOf": [of_model[model] for model in SHARDS.values()],
        "shards": {name: of_model[model] for name, model in SHARDS.items()},
        "$defs": schema["$defs"],
    }
