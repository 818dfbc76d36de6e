"""Read a worker's report of a pass (converter/results.py). It is untrusted: the model could have written it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field

from matrix.core.text import plain, redact


class _Shape(BaseModel):
    """Strictly typed; unknown fields are dropped."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Stage(_Shape):
    stage: str
    status: Literal["running", "ok", "failed"]
    seconds: float | None
    cpu_seconds: float | None = None
    shared: bool


class _Users(_Shape):
    """The position of an error in a user's own file."""

    file: str
    line: int | None
    function: str | None
    code: str | None


class _Error(_Shape):
    type: str
    mro_: list[str] = Field(alias="mro")
    message: str
    traceback: str
    user: _Users | None = None


class _Report(_Shape):
    schema_: Literal[1] = Field(alias="schema")
    job: str
    pass_: str = Field(alias="pass")
    stages: list[_Stage]
    error: _Error | None
    facts: dict[str, Any]
    versions: dict[str, str]
    files: list[str]
    peak_rss_mb: float | None
    disk_mb: float | None = None
    done: bool


def read_report(text: bytes, job: str) -> dict[str, Any] | None:
    """Return the report of job `job`, redacted and ready to be stored; None for anything else."""
    try:
        report = _Report.model_validate(json.loads(text, parse_constant=_refuse))
        cleaned: dict[str, Any] = _clean(report.model_dump(by_alias=True))
    except (ValueError, RecursionError):
        return None
    return cleaned if report.job == job else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _clean(value: Any) -> Any:
    match value:
        case str():
            # A lone surrogate, as in a path that is not UTF-8, can be neither printed nor stored.
            return redact(plain(value.encode(errors="replace").decode()))
        case float() if not math.isfinite(value):
            return None  # 1e999 is read as infinity, which databases refuse
        case Mapping():
            return {_clean(str(key)): _clean(item) for key, item in value.items()}
        case list():
            return [_clean(item) for item in value]
    return value
