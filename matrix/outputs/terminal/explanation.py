"""A pasted failure explained: its reason, its remedies, and the changes that `run --remedy` would try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matrix.judging.known_failures import match_any
from matrix.judging.matching import ErrorText, Remedy
from matrix.judging.pasted import Pasted

SCHEMA = 1

_KILLED = (
    "the process was killed from outside, most often by the kernel or a container because memory ran out",
    (Remedy("more-memory", "Give the machine or the container more memory, or the model a smaller input."),),
)
_DIED = (
    "a compiled library did something that the processor or the system forbids, so Python could not raise an exception",
    (
        Remedy("fault-handler", "Run it again with `python -X faulthandler`, which prints the line where it died."),
        Remedy("fresh-environment", "Install packages from the same time in a separate environment (`matrix image`)."),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """`general` if only the kind of the exception was recognised; `source` may be ''."""

    reason: str
    verdict: str
    title: str
    cause: str
    remedies: tuple[Remedy, ...]
    general: bool = False
    source: str = ""


def explain(pasted: Pasted) -> Explanation | None:
    """Explain a failure; None if no signature describes it."""
    found = match_any(pasted.error)
    if found is not None:
        return Explanation(
            found.id, found.verdict, found.title, found.cause, found.remedies, found.general, found.source
        )
    if pasted.signal and not pasted.error.type:
        cause, remedies = _KILLED if pasted.signal == "sigkill" else _DIED
        reason = "killed-from-outside" if pasted.signal == "sigkill" else pasted.signal
        return Explanation(reason, "crash", f"The process died of {pasted.signal.upper()}", cause, remedies)
    return None


def document(pasted: Pasted, found: Explanation | None) -> dict[str, Any]:
    """Return the explanation as JSON-ready data; `reason` is None for an unknown failure."""
    return {
        "schema": SCHEMA,
        "understood": {"type": pasted.error.type, "message": pasted.error.message, "signal": pasted.signal},
        "reason": found.reason if found else None,
        "verdict": found.verdict if found else None,
        "general": found.general if found else False,
        "title": found.title if found else "",
        "cause": found.cause if found else "",
        "remedies": [
            {
                "id": remedy.id,
                "text": remedy.text,
                "tries": remedy.change.words if remedy.change else None,
                "change": remedy.change.written if remedy.change else None,
            }
            for remedy in (found.remedies if found else ())
        ],
        "source": found.source if found else "",
    }


def text(pasted: Pasted, found: Explanation | None) -> str:
    """Return the explanation for people."""
    if found is None:
        return f"{understood(pasted.error)}\nno known failure matches"
    lines = [f"{found.reason} ({found.verdict}): {found.title}", f"why: {found.cause}"]
    if found.general:
        lines.append("note: only the kind of the error was recognised; read its text for details")
    for remedy in found.remedies:
        lines.append(f"  → {remedy.text}  [{remedy.id}]")
        if remedy.change:
            lines.append(f"      `run --remedy` tries: {remedy.change.words}")
    if found.source:
        lines.append(f"source: {found.source}")
    lines.append(understood(pasted.error))
    return "\n".join(lines)


def understood(error: ErrorText) -> str:
    """Describe in one line what the text was read as."""
    message = " ".join(error.message.split())
    message = f"{message[:200]} …" if len(message) > 200 else message
    if not error.type:
        return f"no exception found; matched on: {message}" if message else "read as: a process that died"
    return f"read as: {error.type}: {message}" if message else f"read as: {error.type}"
