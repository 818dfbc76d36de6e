"""Choose the stored environments to remove. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

from matrix.core.errors import UsageError
from matrix.environments.engine import Stored

_KEEP = re.compile(r"(\d+(?:\.\d+)?)\s*(d|days?|h|hours?|MB|GB|TB)", re.IGNORECASE)
_BYTES = {"mb": 2**20, "gb": 2**30, "tb": 2**40}


@dataclass(frozen=True)
class Keep:
    """Keep environments younger than `age`, and of those the newest that fit into `bytes`."""

    age: dt.timedelta | None = None
    bytes: float | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Keep:
        """Read the texts of --keep, like `14d`, `12h` or `20GB`. Raises UsageError for any other text."""
        age, size = None, None
        for text in texts:
            found = _KEEP.fullmatch(text.strip())
            if found is None:
                raise UsageError(f"--keep {text!r}: write an age such as 14d or 12h, or a size such as 20GB")
            number, unit = float(found[1]), found[2].lower()
            if unit in _BYTES:
                size = number * _BYTES[unit]
            else:
                age = dt.timedelta(days=number) if unit.startswith("d") else dt.timedelta(hours=number)
        return cls(age, size)


def superfluous(stored: Iterable[Stored], current: Set[str], keep: Keep, now: dt.datetime) -> list[Stored]:
    """Return those that no current lock makes, whose build was not finished, that are too old or do not fit."""
    kept: list[Stored] = []
    removed: list[Stored] = []
    for one in sorted(stored, key=lambda one: one.made, reverse=True):
        old = keep.age is not None and now - one.made > keep.age
        fits = keep.bytes is None or size([*kept, one]) <= keep.bytes
        (kept if one.whole and one.id in current and not old and fits else removed).append(one)
    return removed


def size(stored: Iterable[Stored]) -> int:
    """Return the bytes of all of them; parts that several share count once."""
    return sum({part: size for one in stored for part, size in one.parts.items()}.values())
