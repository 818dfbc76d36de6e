"""The schema of cases.json, which an environment wrote: untrusted, so every field has a type and a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from matrix.answers.operators.coverage import in_second_schema

_BYTES_CAP = 64 * 2**20
Name = Annotated[str, Field(max_length=300)]
Versions = Annotated[tuple[Annotated[int, Field(ge=0, le=10_000)], ...], Field(max_length=200)]
Operators = Annotated[dict[Name, Versions], Field(max_length=5_000)]
_Line = Annotated[str, Field(max_length=1_000)]
_Text = Annotated[str, Field(max_length=50_000)]


class UnreadableCoverage(ValueError):
    """A file from an environment is malformed; the message names the file."""


class _Part(BaseModel):
    """Fields that a later converter/ adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Error(_Part):
    type: _Line = ""
    bases: Annotated[tuple[_Line, ...], Field(max_length=100, alias="mro")] = ()
    message: _Text = ""
    traceback: _Text = ""


class Ended(_Part):
    code: int | None = None
    signal: int | None = None


class Case(_Part):
    """The outcome of one case in the environment; converter/backend/measuring.py documents the fields."""

    name: Name
    suite: Name
    opsets: Annotated[dict[Name, int], Field(max_length=100)]
    operators: Annotated[dict[Name, int], Field(max_length=1_000)]
    uses: Annotated[list[dict[str, Any]], Field(max_length=5_000)]
    stage: Literal["load", "check", "convert", "run"]
    done: bool
    error: Error | None = None
    exit: Ended | None = None
    stopped: Literal["timeout", "memory"] | None = None
    printed: _Text | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class CaseFile(_Part):
    """The whole file. `package` is the converter's package, `release` its version."""

    schema_: Literal[1, 2] = Field(alias="schema")
    onnx: Name
    package: Name
    release: Name
    opset: int
    cases: Annotated[tuple[Case, ...], Field(max_length=20_000)]
    handlers: Operators
    schemas: Operators

    @model_validator(mode="before")
    @classmethod
    def _of_any_schema(cls, data: Any) -> Any:
        return in_second_schema(data) if isinstance(data, dict) else data


def read_cases(path: Path) -> CaseFile:
    """Read cases.json. Raises UnreadableCoverage with the first problem in one line, and OSError if the file cannot be
    opened."""
    if path.stat().st_size > _BYTES_CAP:
        raise UnreadableCoverage(f"cases.json: larger than {_BYTES_CAP // 2**20} MiB")
    try:
        return CaseFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        parts = ("cases.json", ".".join(map(str, first["loc"])), first["msg"])
        raise UnreadableCoverage(": ".join(part for part in parts if part)) from error
