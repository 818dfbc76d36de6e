"""Recognise a failure: match its text with the project's signatures. A take-away image does so by this same code."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.judging.matching import ErrorText, Match, Signature, first

if TYPE_CHECKING:
    from matrix.table.model import Role, Stage

CARRIED = Path(__file__).with_name("signatures.json")
"""Where a take-away image has the entries, already checked; a source tree has no such file."""


@cache
def load() -> tuple[Signature, ...]:
    """The project's signatures, read once."""
    if CARRIED.is_file():
        return tuple(map(Signature.of, json.loads(CARRIED.read_text(encoding="utf-8"))))
    # Not above: pydantic and YAML are what a take-away image does without.
    from matrix.judging import signatures

    return signatures.parse(signatures.FILE.read_text(encoding="utf-8"))


def carried() -> str:
    """The signatures as the content of `CARRIED`."""
    return json.dumps([asdict(signature) for signature in load()], ensure_ascii=False, indent=1)


# Many cells of a run fail in the same words.
@lru_cache(maxsize=1024)
def match(role: Role, stage: Stage, error: ErrorText, family: str = "") -> Match | None:
    """The first signature that fits, or None for a failure nobody has described yet. Those of other families than the
    converter's are left out.

    The exception speaks first ("Type: message"), then the traceback with what is chained to it, then, for entries
    that ask for it, the log. Within one text the first entry in file order wins.
    """
    return first(
        (s for s in load() if role in s.roles and stage in s.stages and s.raised_by(error) and s.about(family)), error
    )


def match_any(error: ErrorText) -> Match | None:
    """The same for a text of which nobody knows the role and the stage, nor the bases of its exception."""
    return first((s for s in load() if s.raised_by(error) or not error.type), error)
