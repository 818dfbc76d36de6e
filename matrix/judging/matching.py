"""Match the text of a failure with known failures. Pure, and standard library only: take-away images use it too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from matrix.judging.remedy_changes import Change

if TYPE_CHECKING:
    from matrix.table.model import Role, Stage

SignatureVerdict = Literal["error", "unsupported", "mismatch", "oom", "unsatisfiable", "unavailable", "infra"]
TextSource = Literal["message", "traceback", "log"]

_HEAD, _TAIL = 8_000, 24_000
"""Characters of a text that are searched: an error is named in its first or its last lines, not in the middle."""


@dataclass(frozen=True)
class ErrorText:
    """The texts that a failed stage left.

    ``type`` is the exception's ``module.Class``, ``mro`` the same of its bases, ``message`` its text. The output of a
    resolver or installer is a ``message`` without type; a process that died leaves only a ``log``.
    """

    type: str = ""
    mro: tuple[str, ...] = ()
    message: str = ""
    traceback: str = ""
    log: str = ""


@dataclass(frozen=True)
class Remedy:
    """A remedy: a stable id, what to do, and the same as data where it can be tried automatically."""

    id: str
    text: str
    change: Change | None = None

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Remedy:
        """Make a remedy of an entry that was checked before."""
        change = entry.get("change")
        return cls(entry["id"], entry["text"], Change(**change) if change else None)

    def filled(self, words: list[str]) -> Remedy:
        """Fill in the placeholders with the groups of a match, the first of which is all of it."""
        change = self.change.filled(words) if self.change else None
        return Remedy(self.id, self.text.format(*words), change)


@dataclass(frozen=True)
class Signature:
    """One entry of `signatures.yml`; see its head for the meaning of each field."""

    id: str
    facts: tuple[str, ...]
    roles: tuple[Role, ...]
    stages: tuple[Stage, ...]
    pattern: str
    exception: str | None
    where: tuple[TextSource, ...]
    verdict: SignatureVerdict
    title: str
    cause: str
    remedies: tuple[Remedy, ...]
    source: str
    general: bool = False
    families: tuple[str, ...] = ()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def about(self, family: str) -> bool:
        """Tell whether it applies to converters of this family; '' stands for any."""
        return not (family and self.families) or family in self.families

    def raised_by(self, error: ErrorText) -> bool:
        """Tell whether the exception, or one of its bases, is of the class that this entry asks for."""
        return self.exception is None or any(re.search(self.exception, name) for name in (error.type, *error.mro))

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Signature:
        """Make a signature of an entry that was checked before; lists become tuples."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        fields["remedies"] = tuple(map(Remedy.of, entry["remedies"]))
        return cls(**fields)


@dataclass(frozen=True)
class Match:
    """A recognised failure: ``id`` is the reason to report; placeholders are filled in.

    ``general``: only the class of the exception or its stage was recognised. ``text`` is what the pattern found, on one
    line.
    """

    id: str
    verdict: SignatureVerdict
    title: str
    cause: str
    remedies: tuple[Remedy, ...]
    general: bool = False
    source: str = ""
    text: str = ""


def first(signatures: Iterable[Signature], error: ErrorText) -> Match | None:
    """Return the first of these signatures whose pattern is found. Roles, stages and classes are not checked."""
    fitting = tuple(signatures)
    said = f"{error.type}: {error.message}" if error.type else error.message
    texts: dict[TextSource, str] = {"message": said, "traceback": error.traceback, "log": error.log}
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
        tuple(remedy.filled(words) for remedy in signature.remedies),
        signature.general,
        signature.source,
        found.group(0),
    )


def _one_line(text: str) -> str:
    """Collapse white space, because the wrapping of uv and of tracebacks varies, and cut out the middle."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]} … {text[-_TAIL:]}"
    return re.sub(r"[\s│]+", " ", text).strip()
