"""Recognise a failure by the project's signatures. Take-away images use this too."""

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
"""The checked entries in a take-away image; a source tree does not have this file."""


@cache
def load() -> tuple[Signature, ...]:
    """Return the project's signatures, read once."""
    if CARRIED.is_file():
        return tuple(map(Signature.of, json.loads(CARRIED.read_text(encoding="utf-8"))))
    # Not above: a take-away image has neither pydantic nor YAML.
    from matrix.judging import signature_file as signatures

    return signatures.parse(signatures.FILE.read_text(encoding="utf-8"))


def carried() -> str:
    """Return the signatures as the content of `CARRIED`."""
    return json.dumps([asdict(signature) for signature in load()], ensure_ascii=False, indent=1)


# Many cells of a run fail in the same words.
@lru_cache(maxsize=1024)
def match(role: Role, stage: Stage, error: ErrorText, family: str = "") -> Match | None:
    """Return the first signature that matches, or None for an unknown failure. Those of other families than the
    converter's are skipped.

    The exception is searched first ("Type: message"), then the traceback including chained exceptions, then, for
    entries that ask for it, the log. Within one text the first entry in file order wins.
    """
    return first(
        (s for s in load() if role in s.roles and stage in s.stages and s.raised_by(error) and s.about(family)), error
    )


def match_any(error: ErrorText) -> Match | None:
    """Match a text whose role, stage and bases of the exception are unknown."""
    return first((s for s in load() if s.raised_by(error) or not error.type), error)
