"""The shape of matrix.yml as pydantic models; whether it is consistent is checked elsewhere.

Scalars arrive as strings (see source.py), so that `1.10` stays a version and never becomes the number 1.1.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, WithJsonSchema, model_validator

from matrix.table.ids import FIRST_FAMILY


def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{text!r} is not a version; write an exact one such as 1.10.2") from error
    return text


def _specifier(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"{text!r} is not a version range; write one such as '>=1.8,<2' or '==2.8.*'") from error
    return text


def _package(text: str) -> str:
    if canonicalize_name(text) != text:
        raise ValueError(f"{text!r} is not a normalised package name; write {canonicalize_name(text)!r}")
    return text


def _identifier(text: str) -> str:
    if not text or not all(c.isalnum() or c in "._-+" for c in text):
        raise ValueError(f"{text!r} is not an id; use letters, digits, '.', '-', '_' and '+'")
    return text


# YAML editors see `1.10` as a number, although it is read as text; the JSON Schema allows both.
_TEXT_OR_NUMBER = WithJsonSchema({"type": ["string", "number"]})

PinnedVersion = Annotated[str, AfterValidator(_version), _TEXT_OR_NUMBER]
SpecifierText = Annotated[str, AfterValidator(_specifier), _TEXT_OR_NUMBER]
PackageName = Annotated[str, AfterValidator(_package)]
Identifier = Annotated[str, AfterValidator(_identifier)]
PythonVersion = Annotated[str, Field(pattern=r"^3\.\d+$"), _TEXT_OR_NUMBER]
SelectorValue = Annotated[str, _TEXT_OR_NUMBER]

Via = Literal["torchscript", "dynamo", "builder"]
Role = Literal["exporter", "converter", "reference"]
Verdict = Literal[
    "match", "mismatch", "unsupported", "error", "crash", "oom", "timeout", "unsatisfiable", "unavailable", "infra"
]
# The stages of a finding: making the environment, running the workers, comparing their results.
Stage = Literal[
    "lock",
    "build",
    "import",
    "model",
    "forward",
    "export",
    "load",
    "alter",
    "expose",
    "check",
    "convert",
    "run",
    "save",
    "reload",
    "tflite",
    "invoke",
    "compare",
]
NumberKind = Literal["float64", "float32", "float16", "bfloat16", "integer", "boolean"]


class Strict(BaseModel):
    """Frozen, and closed against unknown keys, so that a typo does not pass as a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OnnxRelease(Strict):
    """An ONNX release: IR version and the opsets of ai.onnx and ai.onnx.ml it defines."""

    version: PinnedVersion
    ir: int
    opset: int
    ml_opset: int


class TorchRelease(Strict):
    """A torch release: upload date and the opsets its exporters accept, ends included."""

    version: PinnedVersion
    released: dt.date
    opsets: tuple[int, int]
    dynamo: tuple[int, int] | None = None


class Resolver(Strict):
    """How locks are made; every field is part of a lock's request."""

    replace: dict[PackageName, PackageName] = {}
    margin_days: int = 14
    pythons: tuple[PythonVersion, ...]
    wheels_only: tuple[PackageName, ...]


class Companion(Strict):
    """Ranges of packages to add to rows whose pins match `when`; an empty range in `add` means any version."""

    when: dict[PackageName, SpecifierText]
    add: dict[PackageName, SpecifierText]
    why: str


class Row(Strict):
    """An environment: pins, and optionally the Python and the date that its rest is resolved for.

    `add` has ranges of further packages for this row alone, as `companions` have for many; ranges in `within` apply
    only if the package is needed. With `companions: false` the rules do not apply: the row is what a user gets who
    knows only its pins.
    """

    id: Identifier
    pins: dict[PackageName, PinnedVersion]
    add: dict[PackageName, SpecifierText] = {}
    within: dict[PackageName, SpecifierText] = {}
    companions: bool = True
    python: PythonVersion | None = None
    as_of: dt.date | None = None
    note: str = ""


class ExporterRow(Row):
    """A torch release. `builds` are other builds of the same release, each with its own lock."""

    via: tuple[Via, ...] = ("torchscript",)
    current: bool = False
    builds: dict[Identifier, dict[PackageName, PinnedVersion]] = {}


class ReferenceRow(Row):
    """The one environment that runs ONNX Runtime."""


class ConverterRow(Row):
    """A converter with its runtime. `family` is the program that converts. With `companions: false`, pins that the
    family does not require may be left open. Such rows join only tiers that list them and are never recommended.
    """

    family: Annotated[str, Field(min_length=1)] = FIRST_FAMILY


# Ranges of narrow types; the upper bound of a range is not drawn.
_HOLDS = {"int8": (-128.0, 128.0), "uint8": (0.0, 256.0), "float16": (-65504.0, 65504.0)}


class ModelInput(Strict):
    """An input tensor: name, shape, dtype and the half-open range its values are drawn from.

    `dynamic` maps axes whose size may change to labels: the exporter is given them, and one draw is twice as long
    there.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"] = "float32"
    range: tuple[FiniteFloat, FiniteFloat] = (-1.0, 1.0)
    dynamic: dict[int, Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]] = {}

    @property
    def longer(self) -> tuple[int, ...]:
        """The shape with dynamic axes twice as long: divisible by whatever the original size is divisible by."""
        return tuple(size * 2 if axis in self.dynamic else size for axis, size in enumerate(self.shape))

    @property
    def longer_range(self) -> tuple[float, float]:
        """The range of values of the longer shape."""
        return self.range

    @model_validator(mode="before")
    @classmethod
    def _usual_range(cls, data: Any) -> Any:
        # Integers are mostly indices, and only 0 and 1 are valid for every embedding.
        if isinstance(data, dict) and "range" not in data and str(data.get("dtype")).startswith(("int", "uint")):
            return {**data, "range": (0.0, 2.0)}
        return data

    @model_validator(mode="after")
    def _holds_its_range(self) -> ModelInput:
        low, high = _HOLDS.get(self.dtype, self.range)
        if self.range[0] < low or self.range[1] > high:
            raise ValueError(
                f"{self.dtype} holds numbers from {low:g} to {high:g}, not {self.range[0]:g} to {self.range[1]:g}"
            )
        return self


class StatedTolerance(Strict):
    """An element passes if |a - b| <= atol + rtol * |reference|."""

    rtol: FiniteFloat = Field(ge=0)
    atol: FiniteFloat = Field(ge=0)


class Builder(Strict):
    """Writes a model as .onnx from its weights, without torch's exporter: a function of converter/ and the opsets it
    supports, ends included.
    """

    write: Annotated[str, Field(pattern=r"^converter\.[\w.]+:[A-Za-z_]\w*$")]
    opsets: tuple[int, int]


class Packaged(Strict):
    """An .onnx file that a package of the index carries: the release, and the path of the file in its wheel."""

    name: PackageName
    version: PinnedVersion
    file: Annotated[str, Field(pattern=r"^[^/].*\.onnx$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    licence: str


class ModelSpec(Strict):
    """A model: a torch factory, `package.module:function` or `path/to/file.py:function`, or an .onnx file, which may be
    part of a `package` of the index. Models of packages join only tiers that ask for them.

    Paths are relative to the table. `source` is a folder that the factory's modules are imported from. `checkpoint` is
    loaded into the factory's module, its entry `checkpoint_key` if the weights are one of several; `trust` lets it run
    code. `seed` replaces all weights by drawn ones; without it they are those of the factory and the checkpoint.
    `inputs_file` and `reference` are .npz files with keys `name` or `case/name`, used instead of drawn inputs and of
    ONNX Runtime's results. An .onnx file provides inputs and outputs that are not stated.
    """

    id: Identifier
    factory: Annotated[str, Field(pattern=r"^[^:]+:[A-Za-z_]\w*$")] | None = None
    onnx: str | None = None
    package: Packaged | None = None
    arguments: dict[str, str | int | float | bool | None] = {}
    checkpoint: str | None = None
    checkpoint_key: str | None = None
    source: str | None = None
    trust: bool = False
    seed: int | None = None
    inputs: tuple[ModelInput, ...] = ()
    outputs: tuple[str, ...] = ()
    inputs_file: str | None = None
    reference: str | None = None
    builder: Builder | None = None
    tolerances: dict[NumberKind, StatedTolerance] = {}
    note: str = ""

    @model_validator(mode="after")
    def _one_of(self) -> ModelSpec:
        if sum(source is not None for source in (self.factory, self.onnx, self.package)) != 1:
            raise ValueError("a model has either `factory` or `onnx` or `package`")
        if self.is_file and (wrong := self._said_of_a_factory):
            raise ValueError(f"an .onnx file takes no {', '.join(wrong)}")
        if self.checkpoint is None and self.checkpoint_key is not None:
            raise ValueError("`checkpoint_key` needs a `checkpoint`")
        if self.checkpoint is not None and self.seed is not None:
            raise ValueError("`seed` would replace the weights of the checkpoint")
        if self.reference is not None and not (self.is_file and self.inputs_file is not None):
            raise ValueError("`reference` goes with an .onnx file and the `inputs_file` it was computed from")
        return self

    @property
    def is_file(self) -> bool:
        """Whether it is an .onnx file."""
        return self.factory is None

    @property
    def _said_of_a_factory(self) -> list[str]:
        only = ("arguments", "checkpoint", "source", "trust", "builder")
        return [name for name in only if getattr(self, name)] + (["seed"] if self.seed is not None else [])


class Limits(Strict):
    """Limits of one pass of one job: wall seconds and resident megabytes."""

    seconds: float = Field(default=300.0, gt=0)
    memory_mb: int = Field(default=6144, gt=0)


CellSelector = dict[str, SelectorValue | tuple[SelectorValue, ...]]


class Tier(Strict):
    """A named part of the table: either `cells`, selectors over the full table, or a `rule` with bounds. `bare`
    includes rows without companions. `packaged`: its models are those of packages of the index, and no others.
    """

    about: str
    cells: tuple[CellSelector, ...] | None = None
    rule: Literal["nearest", "documented", "full"] | None = None
    converters: tuple[Identifier, ...] | None = None
    models: tuple[Identifier, ...] | None = None
    bare: bool = False
    packaged: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Tier:
        if (self.cells is None) == (self.rule is None):
            raise ValueError("a tier has either `cells` or `rule`")
        return self


class Expectation(Strict):
    """The known result of the cells of a selector; a run that differs ends with exit code 5."""

    cells: CellSelector
    verdict: Verdict
    role: Role | None = None
    stage: Stage | None = None
    reason: str | None = None
    remark: str | None = None
    opset_written: int | None = None
    max_abs: FiniteFloat | None = None
    why: str = ""


class Config(Strict):
    """The whole table."""

    schema_: int = Field(alias="schema", ge=1, le=1)
    resolver: Resolver
    companions: tuple[Companion, ...] = ()
    onnx: tuple[OnnxRelease, ...]
    torch: tuple[TorchRelease, ...]
    exporters: tuple[ExporterRow, ...]
    reference: ReferenceRow
    converters: tuple[ConverterRow, ...]
    models: tuple[ModelSpec, ...]
    limits: Limits = Limits()
    tolerances: dict[NumberKind, StatedTolerance] = {}
    tiers: dict[Identifier, Tier]
    default_tier: Identifier = "quick"
    expect: tuple[Expectation, ...] = ()


def json_schema() -> str:
    """Return the JSON Schema of matrix.yml, for editors, as text ending in a newline."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
