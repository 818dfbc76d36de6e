"""Which cell a person means."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def like(cell: str, known: Iterable[str]) -> list[str]:
    """The ids that `cell` names: the one that is it, else those it is a part of or a glob for, in order."""
    names = list(known)
    return [name for name in names if name == cell] or [name for name in names if fnmatchcase(name, f"*{cell}*")]
