"""Which cell or run a person means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from matrix.core.errors import NothingSelected, UsageError
from matrix.store import RunRecord
from matrix.store.records import NOT_OF_CELLS


def like(cell: str, known: Iterable[str]) -> list[str]:
    """The ids that `cell` names: the one that is it, else those it is a part of or a glob for, in order."""
    names = list(known)
    return [name for name in names if name == cell] or [name for name in names if fnmatchcase(name, f"*{cell}*")]


def chosen_run(runs: Sequence[RunRecord], number: int | None) -> RunRecord:
    """Run `number` of `runs`, which are newest first; None: the newest that is about cells.

    Raises UsageError for a number that is none of theirs, NothingSelected where there is no run to choose.
    """
    found = next((run for run in runs if number == run.id or (number is None and run.tier not in NOT_OF_CELLS)), None)
    if found is None:
        if number is None:
            raise NothingSelected("no run is about the cells of a plan yet; name another one with --run")
        raise UsageError(f"there is no run {number}; the newest is {runs[0].id}")
    return found
