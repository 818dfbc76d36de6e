"""The shape of the shards: the types that the other modules build, and the JSON Schema that goes with every site.

TypedDicts rather than models: hundreds of thousands are built, and a plain dict costs nothing. Keys may be added, never
renamed; what a shard means is in docs/dashboard.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, with_config

# That of `typing` is not enough for pydantic before Python 3.12.
from typing_extensions import TypedDict

from matrix.answers.operators.coverage import Status
from matrix.outputs.documents.coverage import CaseFinding
from matrix.outputs.documents.run import CellDocument, FindingWords
from matrix.table.model import Role, Verdict

SCHEMA: Literal[1] = 1

Count = int
Position = int
Positive = Annotated[int, Field(ge=1)]
Package = tuple[str, str | None, str | None]
"""Name, version before and version after; None if not installed."""
Time = Literal[0, 1, 2]
"""Then, converter now, exporter now."""
RunPair = tuple[Position, int, int]
"""Run, match, findings."""
Rated = tuple[Status, Count, Count]
"""Support of an operator, matching cases, cases."""


class _Shard(TypedDict):
    schema: Literal[1]


class RunChanges(TypedDict):
    broke: Count
    mended: Count
    changed: Count
    new: Count
    silent: Count


class RunShape(TypedDict):
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


class ModelShape(TypedDict):
    id: str
    cells: Count
    match: Count
    findings: Count
    shard: str


class PackageShape(TypedDict):
    """`short` is the title where space is scarce, `also` other names that a filter accepts."""

    name: str
    title: str
    short: str
    also: list[str]


class FamilyShape(TypedDict):
    """`package` is the converter itself, `newest` the packages that order its rows, `stages` the stages of a
    conversion, `legs` the comparisons: id and words."""

    name: str
    title: str
    source: Literal["onnx", "torch"]
    package: str | None
    runtime: str
    packages: list[PackageShape]
    newest: list[str]
    stages: list[str]
    legs: list[tuple[str, str]]


class ExporterShape(TypedDict):
    """`writes` is False for the placeholders `file` and `direct`. `variant` is the part of the id after torch."""

    id: str
    torch: str
    python: str
    writes: bool
    variant: str


@with_config(ConfigDict(extra="allow"))
class Converter(TypedDict):
    """`now` is its name in the ids of cells whose converter is resolved now. The `versions` of its family's packages
    are also keys beside those below. `variant` is the part of the id that names none of them."""

    id: str
    now: str
    family: str
    versions: dict[str, str]
    variant: str
    python: str
    page: str | None
    match: Count
    findings: Count


class ConclusionShape(FindingWords):
    remedied: list[str] | None


class ReasonSummary(TypedDict):
    title: str
    page: str
    cells: Count


class VerdictShape(TypedDict):
    id: Verdict
    text: str
    indeterminate: bool


class RegressionShape(TypedDict):
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
    cell_shards: Positive
    regressions: list[RegressionShape]


class Matrix(_Shard):
    """`matrix/SLUG`

    `ids` holds for each column the prefix of its cells' ids, and that of the cells whose exporter is resolved now
    (null: there is no exporter). A cell's id is the prefix and the row's `id`, or its `now`; never split an id.
    """

    model: str
    rows: list[Position]
    columns: list[tuple[Position, int]]
    ids: list[tuple[str, str | None]]
    cells: list[tuple[Position, Position, Time, Position, Position, list[Position]]]


class Siblings(TypedDict):
    then: str | None
    converter_now: str | None
    exporter_now: str | None


class ObstacleShape(TypedDict):
    stage: str
    kind: str
    reason: str
    text: str


class ExitShape(TypedDict):
    code: int | None
    signal: int | None
    oom: bool


class StageShape(TypedDict):
    stage: str
    status: str
    seconds: float | None


class Raised(TypedDict):
    type: str
    message: str
    traceback: str


class LogPlace(TypedDict):
    shard: str
    key: str
    bytes: int


class PassShape(TypedDict):
    name: str
    seconds: float
    stopped: Literal["timeout", "memory"] | None
    exit: ExitShape | None
    stages: list[StageShape]
    error: Raised | None
    log: LogPlace | None


class ObservedShape(TypedDict):
    """An observation, without the run that made it: that is encoded once for many cells."""

    role: Role
    kind: str
    environment: str
    environment_shard: str
    python: str
    created: str
    obstacle: ObstacleShape | None
    passes: list[PassShape]


class ObservationShape(ObservedShape):
    run: Position | None


class BlameShape(TypedDict):
    answer: str
    created: str
    picture: str | None
    culprits: list[dict[str, str | None]]
    cure: str | None


class CellEnding(TypedDict):
    """The part of a cell that is known once all of history is read."""

    conclusion: Position
    run: Position
    siblings: Siblings
    history: Sequence[tuple[Position, Position]]
    decided: Positive
    reproduce: list[str]
    blame: BlameShape | None


@with_config(ConfigDict(extra="allow"))
class CellShape(CellDocument, CellEnding):
    """The versions of its family's packages are keys beside those below; null if unknown. `artifacts` has the finding
    on each kind of artifact."""

    torch: str
    cause: str
    observations: list[ObservationShape]


class CellsShard(_Shard):
    """`cells/N`, where N is FNV-1a (32 bits) of the cell's id in UTF-8, modulo `cell_shards`"""

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


class Log(TypedDict):
    text: str
    bytes: int
    left_out: int


class LogsShard(_Shard):
    """`logs/N`"""

    logs: dict[str, Log]


class ChangeShape(TypedDict):
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
    """`changes/RUN`, where RUN is the run's position in `site`"""

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


class PinsShape(TypedDict):
    """Requirements to install, in one line, by position in the site."""

    exporters: dict[str, str]
    converters: dict[str, str]


class Pick(_Shard):
    """`pick`

    `ids` holds for an exporter and opset the part of a cell's id between the model and the row's `id`.
    """

    models: list[str]
    pins: PinsShape
    toolchains: list[tuple[Position, int, Position, list[Position], list[Position], list[Position]]]
    ids: list[tuple[Position, int, str]]


@with_config(ConfigDict(extra="allow"))
class CoverageRow(TypedDict):
    """The versions that name the row are also keys; `label` is the text to show for them."""

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


class Operator(TypedDict):
    operator: str
    found: dict[str, Rated]


class UnmeasuredRow(TypedDict):
    row: str
    verdict: Verdict
    stage: str | None
    reason: str | None


class CoverageSummary(_Shard):
    """`coverage`"""

    rows: list[CoverageRow]
    operators: list[Operator]
    unmeasured: list[UnmeasuredRow]


class CaseShape(CaseFinding):
    operators: list[str]


class CoverageOfRow(_Shard):
    """`coverage/SLUG`"""

    row: str
    cases: list[CaseShape]


SHARDS: dict[str, type] = {
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
    """Return the definitions of all shards; `shards` maps files below data/ to them."""
    references, schema = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(shape)) for name, shape in SHARDS.items()]
    )
    shards = {name: references[name, "validation"] for name in SHARDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Data of the torch-tf-matrix dashboard",
        "description": "Every file below data/ is one of these; keys may be added, never renamed.",
        "anyOf": list(shards.values()),
        "shards": shards,
        "$defs": schema["$defs"],
    }
