"""Known failures: what an error's text means, and what would help.

The knowledge is in `signatures.yml`; here it is read, checked and matched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from matrix.config.model import Role, Stage

Verdict = Literal["error", "unsupported", "oom", "unsatisfiable", "unavailable", "infra"]
Source = Literal["message", "traceback", "log"]

FILE = Path(__file__).with_name("signatures.yml")

_HEAD, _TAIL = 8_000, 24_000
"""What is kept of a text: an error says what it is in its first lines or its last ones, not in the middle."""


class SignatureError(ValueError):
    """The signature file is wrong; the message names the entry."""


@dataclass(frozen=True)
class ErrorText:
    """What a failed stage left behind, in words.

    ``type`` is the exception's ``module.Class``, ``mro`` the same for its bases, ``message`` its text. A resolver's
    or installer's output is a ``message`` without type; a process that only died leaves a ``log``.
    """

    type: str = ""
    mro: tuple[str, ...] = ()
    message: str = ""
    traceback: str = ""
    log: str = ""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_pattern(pattern: str) -> str:
    # Texts are matched as one line, so an open-ended gap could span from one error into the next, and nested ones
    # make the time grow beyond all bounds.
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


class Remedy(_Strict):
    """A change that cures the failure: a stable id and what to do, in words."""

    id: Id
    text: Words


class Signature(_Strict):
    """One entry of the file; see its head for the meaning of each key."""

    id: Id
    facts: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}\d{2}$")], ...] = ()
    roles: tuple[Role, ...] = Field(min_length=1)
    stages: tuple[Stage, ...] = Field(min_length=1)
    pattern: Pattern
    exception: Pattern | None = None
    where: tuple[Source, ...] = Field(default=("message", "traceback"), min_length=1)
    verdict: Verdict = "error"
    title: Words
    cause: Words
    remedies: tuple[Remedy, ...] = ()
    source: Words

    @model_validator(mode="after")
    def _placeholders_exist(self) -> Signature:
        for text in (self.title, *(remedy.text for remedy in self.remedies)):
            for name in re.findall(r"\{(\w*)\}", text):
                if not name.isdigit() or int(name) > self.regex.groups:
                    raise ValueError(f"{{{name}}} is used, but the pattern has {self.regex.groups} groups")
        return self

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def raised_by(self, error: ErrorText) -> bool:
        """Whether the exception, or one of its bases, is of the kind this entry asks for."""
        return self.exception is None or any(re.search(self.exception, name) for name in (error.type, *error.mro))


@dataclass(frozen=True)
class Match:
    """A recognised failure: ``id`` is the reason to report; the words have their placeholders filled in."""

    id: str
    verdict: Verdict
    title: str
    cause: str
    remedies: tuple[Remedy, ...]


def parse(text: str) -> tuple[Signature, ...]:
    """The entries of a signature file, in order; raises ``SignatureError`` naming the entry that is wrong."""
    try:
        raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise SignatureError(f"not YAML: {error}") from error
    try:
        signatures = TypeAdapter(tuple[Signature, ...]).validate_python(raw)
    except ValidationError as error:
        raise SignatureError(_explain(raw, error)) from error
    seen: set[str] = set()
    for signature in signatures:
        if signature.id in seen:
            raise SignatureError(f"{signature.id}: this id is used twice")
        seen.add(signature.id)
    return signatures


def _explain(raw: Any, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    index, *inner = first["loc"] or ("the file",)
    entry = raw[index] if isinstance(raw, list) and isinstance(index, int) else None
    name = entry.get("id", f"entry {index}") if isinstance(entry, dict) else f"entry {index}"
    return ": ".join([str(name), *([".".join(map(str, inner))] if inner else []), first["msg"]])


@cache
def load() -> tuple[Signature, ...]:
    """The project's signatures, read once."""
    return parse(FILE.read_text(encoding="utf-8"))


def match(role: Role, stage: Stage, error: ErrorText) -> Match | None:
    """The first signature that fits, or None for a failure nobody has described yet.

    The exception speaks first ("Type: message"), then the traceback with what is chained to it, then, for entries
    that ask for it, the log. Within one text the first entry in file order wins.
    """
    fitting = [s for s in load() if role in s.roles and stage in s.stages and s.raised_by(error)]
    said = f"{error.type}: {error.message}" if error.type else error.message
    texts: dict[Source, str] = {"message": said, "traceback": error.traceback, "log": error.log}
    for source, text in texts.items():
        line = _one_line(text)
        for signature in fitting:
            if source in signature.where and (found := signature.regex.search(line)):
                return _matched(signature, found)
    return None


def _matched(signature: Signature, found: re.Match[str]) -> Match:
    # Alternatives of a pattern each have their own groups: those that took part count, in order.
    took_part = [group for group in found.groups() if group is not None]
    words = [found.group(0), *took_part, *["unknown"] * (signature.regex.groups - len(took_part))]
    return Match(
        signature.id,
        signature.verdict,
        signature.title.format(*words),
        signature.cause,
        tuple(Remedy(id=remedy.id, text=remedy.text.format(*words)) for remedy in signature.remedies),
    )


def _one_line(text: str) -> str:
    """White space flattened, because uv and tracebacks wrap and indent as they please; the middle left out."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} … {text[-_TAIL:]}"
    return re.sub(r"[\s│]+", " ", text).strip()
