"""cases.json as an environment left it: untrusted, so every field has a type and a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from matrix.answers.operators.summary import FIRST

_BYTES_CAP = 64 * 2**20
Name = Annotated[str, Field(max_length=300)]
Versions = Annotated[tuple[Annotated[int, Field(ge=0, le=10_000)], ...], Field(max_length=200)]
Operators = Annotated[dict[Name, Versions], Field(max_length=5_000)]


class UnreadableCases(ValueError):
    """Not a cases.json, or one beyond its bounds."""


class _Part(BaseModel):
    """What a later converter/ adds does no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Error(_Part):
    type: Annotated[str, Field(max_length=1_000)] = ""
    bases: Annotated[tuple[Annotated[str, Field(max_length=1_000)], ...], Field(max_length=100, alias="mro")] = ()
    message: Annotated[str, Field(max_length=50_000)] = ""
    traceback: Annotated[str, Field(max_length=50_000)] = ""


class Ended(_Part):
    code: int | None = None
    signal: int | None = None


class Case(_Part):
    """What one case came to in the environment; converter/backend/measuring.py says what the fields mean."""

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
    printed: Annotated[str, Field(max_length=50_000)] | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class CaseFile(_Part):
    """The whole file. `package` is the converter's, `release` that of it."""

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
    def _of_the_first_schema(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema") == 1:
            for name, package in FIRST.items():
                if name in data:
                    return {**data, "package": package, "release": data[name]}
        return data


def read_report(path: Path) -> CaseFile:
    """Raises UnreadableCases, saying in one line what is wrong, and OSError where the file cannot be opened."""
    if path.stat().st_size > _BYTES_CAP:
        raise UnreadableCases(f"it is larger than {_BYTES_CAP // 2**20} MiB")
    try:
        return CaseFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableCases(f"{where}: {first['msg']}" if where else first["msg"]) from error
