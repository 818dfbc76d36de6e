"""Read and check the known failures of `signatures.yml`; `matching.py` uses them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from matrix.judging.matching import ErrorText, Match, Remedy, Signature, SignatureVerdict, TextSource
from matrix.judging.remedy_changes import NAMED, Change
from matrix.table.model import Role, Stage

__all__ = ["FILE", "ErrorText", "Match", "Remedy", "Signature", "SignatureError", "parse"]

FILE = Path(__file__).with_name("signatures.yml")

_ID_LINE = re.compile(r"^- id: (\S+)$", re.MULTILINE)


class SignatureError(ValueError):
    """The signature file is wrong; the message names the entry."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_pattern(pattern: str) -> str:
    # Texts are matched as one line: an unbounded gap could reach into the next error, and nested ones take exponential
    # time.
    plain = re.sub(r"\[[^\]]*\]", "_", re.sub(r"\\.", "_", pattern))
    if re.search(r"[*+]|\{\d+,\}", plain):
        raise ValueError("every repetition needs an upper bound, as in .{0,200}?")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, Field(min_length=4), AfterValidator(_check_pattern)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Words = Annotated[str, Field(min_length=8)]


def _parse_change(written: Any) -> Any:
    return Change.parse(written) if isinstance(written, dict) else written


class _Remedy(_Strict):
    id: Id
    text: Words
    change: Annotated[Change, BeforeValidator(_parse_change)] | None = None


class _Entry(_Strict):
    """The schema of an entry; the head of the file explains each key."""

    id: Id
    facts: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}\d{2}$")], ...] = ()
    roles: tuple[Role, ...] = Field(min_length=1)
    stages: tuple[Stage, ...] = Field(min_length=1)
    families: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    pattern: Pattern
    exception: Pattern | None = None
    where: tuple[TextSource, ...] = Field(default=("message", "traceback"), min_length=1)
    verdict: SignatureVerdict = "error"
    title: Words
    cause: Words
    remedies: tuple[_Remedy, ...] = ()
    source: Words
    general: bool = False

    @model_validator(mode="after")
    def _placeholders_exist(self) -> _Entry:
        groups = re.compile(self.pattern).groups
        for text in (self.title, *(remedy.text for remedy in self.remedies)):
            for name in re.findall(r"\{(\w*)\}", text):
                _check_placeholder(name, groups)
        for change in (remedy.change for remedy in self.remedies):
            for name in change.placeholders if change else ():
                if name not in NAMED:
                    _check_placeholder(name.removesuffix(".since"), groups)
        return self


def _check_placeholder(name: str, groups: int) -> None:
    if not name.isdigit() or int(name) > groups:
        raise ValueError(f"{{{name}}} is used, but the pattern has {groups} groups")


def ids() -> frozenset[str]:
    """Return the ids of all entries without reading and checking them, which would cost every command 0.1 s."""
    return frozenset(_ID_LINE.findall(FILE.read_text(encoding="utf-8")))


def parse(text: str) -> tuple[Signature, ...]:
    """Return the entries of a signature file, in order. Raises SignatureError naming the entry that is wrong."""
    try:
        raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise SignatureError(f"not YAML: {error}") from error
    try:
        entries = TypeAdapter(tuple[_Entry, ...]).validate_python(raw)
    except ValidationError as error:
        raise SignatureError(_explain(raw, error)) from error
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise SignatureError(f"{entry.id}: this id is used twice")
        seen.add(entry.id)
    return tuple(Signature.of(entry.model_dump()) for entry in entries)


def _explain(raw: Any, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    index, *inner = first["loc"] or ("the file",)
    entry = raw[index] if isinstance(raw, list) and isinstance(index, int) else None
    name = entry.get("id", f"entry {index}") if isinstance(entry, dict) else f"entry {index}"
    return ": ".join([str(name), *([".".join(map(str, inner))] if inner else []), first["msg"]])
