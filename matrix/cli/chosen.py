"""Find the cell or the run that an argument names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from matrix.app.project import Project
from matrix.core.errors import NothingSelected, UsageError
from matrix.store import RunRecord, Store
from matrix.store.records import NOT_OF_CELLS


def like(cell: str, known: Iterable[str]) -> list[str]:
    """Return the id that equals `cell`, else those of which it is a part or a glob, in order."""
    names = list(known)
    return [name for name in names if name == cell] or [name for name in names if fnmatchcase(name, f"*{cell}*")]


def only(cell: str, fitting: Sequence[str]) -> str:
    """Return the one id that fits `cell`. Raises UsageError for several."""
    if len(fitting) > 1:
        raise UsageError(f"{cell!r} fits {len(fitting)} cells: {', '.join(fitting[:8])}")
    return fitting[0]


def stored_runs(project: Project, history: Store) -> list[RunRecord]:
    """Return the runs of a store, newest first. Raises NothingSelected if there is none."""
    runs = history.runs()
    if not runs:
        raise NothingSelected(f"{project.state.root} holds no run yet; start one: python -m matrix run")
    return runs


def chosen_run(runs: Sequence[RunRecord], number: int | None) -> RunRecord:
    """Return run `number` of `runs`, which are newest first; None: the newest that decided cells.

    Raises UsageError for an unknown number, NothingSelected if there is none to choose.
    """
    found = next((run for run in runs if number == run.id or (number is None and run.tier not in NOT_OF_CELLS)), None)
    if found is None:
        if number is None:
            raise NothingSelected("no run has decided the cells of a plan yet; name another run with --run")
        raise UsageError(f"there is no run {number}; the newest is {runs[0].id}")
    return found
