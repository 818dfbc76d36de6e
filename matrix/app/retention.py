"""Which stored environments may go. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

from matrix.environments.engine import Stored

_KEEP = re.compile(r"(\d+(?:\.\d+)?)\s*(d|days?|h|hours?|MB|GB|TB)", re.IGNORECASE)
_BYTES = {"mb": 2**20, "gb": 2**30, "tb": 2**40}


@dataclass(frozen=True)
class Keep:
    """No environment older than `age` stays, and no more of them than fit into `bytes`, the newest first."""

    age: dt.timedelta | None = None
    bytes: float | None = None

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Keep:
        """From texts like `14d`, `12h` or `20GB`. Raises ValueError with what can be written."""
        age, size = None, None
        for text in texts:
            found = _KEEP.fullmatch(text.strip())
            if found is None:
                raise ValueError(f"{text!r}: write an age such as 14d or 12h, or a size such as 20GB")
            number, unit = float(found[1]), found[2].lower()
            if unit in _BYTES:
                size = number * _BYTES[unit]
            else:
                age = dt.timedelta(days=number) if unit.startswith("d") else dt.timedelta(hours=number)
        return cls(age, size)


def superfluous(stored: Iterable[Stored], current: Set[str], keep: Keep, now: dt.datetime) -> list[Stored]:
    """Those that no current lock makes, whose build never ended, that are too old, or for which there is no room."""
    stays: list[Stored] = []
    goes: list[Stored] = []
    for one in sorted(stored, key=lambda one: one.made, reverse=True):
        old = keep.age is not None and now - one.made > keep.age
        fits = keep.bytes is None or size([*stays, one]) <= keep.bytes
        (stays if one.whole and one.id in current and not old and fits else goes).append(one)
    return goes


def size(stored: Iterable[Stored]) -> int:
    """Bytes of them together; what several share counts once."""
    parts: dict[str, int] = {}
    for one in stored:
        parts.update(one.parts)
    return sum(parts.values())
