"""A pasted failure explained: its reason, what helps, and what a machine could try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matrix.judging.matching import ErrorText, Remedy
from matrix.judging.pasted import Pasted
from matrix.judging.recognise import match_any

SCHEMA = 1

_KILLED = (
    "something outside ended the process, most often the kernel or a container because memory ran out",
    (Remedy("more-memory", "Give the machine or the container more memory, or the model a smaller input."),),
)
_DIED = (
    "a compiled library did what the processor or the system forbids, and Python could raise no exception any more",
    (
        Remedy("fault-handler", "Run it again with `python -X faulthandler`: that prints the line it died in."),
        Remedy("fresh-environment", "Install packages of one time in an environment of their own (`matrix image`)."),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Explanation:
    """``general``: no more was recognised than the kind of the exception. ``source`` '' where there is none."""

    reason: str
    verdict: str
    title: str
    cause: str
    remedies: tuple[Remedy, ...]
    general: bool = False
    source: str = ""


def explain(pasted: Pasted) -> Explanation | None:
    """None for a failure that nobody has described yet."""
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
    """As JSON-ready data; ``reason`` is None for an unknown failure."""
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
    """For people."""
    if found is None:
        return f"understood as: {understood(pasted.error)}\nno known failure says this"
    lines = [f"{found.reason} ({found.verdict}): {found.title}", f"why: {found.cause}"]
    if found.general:
        lines.append("note: only the kind of the error was recognised; its text says more")
    for remedy in found.remedies:
        lines.append(f"  → {remedy.text}  [{remedy.id}]")
        if remedy.change:
            lines.append(f"      `run --remedy` tries: {remedy.change.words}")
    if found.source:
        lines.append(f"source: {found.source}")
    lines.append(f"understood as: {understood(pasted.error)}")
    return "\n".join(lines)


def understood(error: ErrorText) -> str:
    """Type and message in one line."""
    said = " ".join(error.message.split())
    said = f"{said[:200]} …" if len(said) > 200 else said
    if error.type:
        return f"{error.type}: {said}" if said else error.type
    return f"a text without an exception: {said}" if said else "a process that died"
