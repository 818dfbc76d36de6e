"""Why a finding changed: the packages that differ from those installed at the finding before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from matrix.history.regressions import CellChange, History
from matrix.judging.cells import CellResult
from matrix.store import CellRecord, Observation, Store
from matrix.table.model import Role

# Name, version before and after.
_PackageChange = tuple[str, str | None, str | None]

# The packages that a sentence names at most.
_NAMED = 4


@dataclass(frozen=True)
class ChangeCause:
    """`packages` are (name, before, after) of the environment at fault; None: not installed."""

    packages: tuple[_PackageChange, ...]
    same_environment: bool
    sentence: str


def explain_all(store: Store, history: History, changes: Iterable[CellChange]) -> dict[CellChange, ChangeCause]:
    """Explain the changes that have a finding before them; the others are new."""
    sides = {
        change: (change.before, *(history.timelines[change.cell].row(run) for run in (change.before_run, change.run)))
        for change in changes
        if change.before_run is not None and change.before is not None
    }
    records = store.cell_history.records(row for _, *rows in sides.values() for row in rows)
    observations = store.observations(number for record in records.values() for number in record.observations)
    found = {}
    for change, (said, *rows) in sides.items():
        role = history.conclusions[change.after].finding.role or history.conclusions[said].finding.role
        before, after = (_observation(records[row], role, observations) for row in rows)
        found[change] = explain(before, after)
    return found


def explain_between(before: CellResult, after: CellResult) -> ChangeCause:
    """Explain the difference between two results of one cell."""
    role = after.finding.role or before.finding.role
    return explain(*(_part(side, role) for side in (before, after)))


def explain(before: Observation | None, after: Observation | None) -> ChangeCause:
    """Explain a change by what was observed on both sides in the environment at fault."""
    if before is None or after is None:
        return ChangeCause((), False, "the job did not run before" if before is None else "the job no longer runs")
    if before.id == after.id:
        return ChangeCause((), True, "the observations are the same: the table or the rules of judging changed")
    same = before.environment_id == after.environment_id
    if packages := package_changes(before.installed, after.installed):
        return ChangeCause(packages, same, f"packages changed: {words(packages)}")
    if same:
        return ChangeCause((), True, "the environment is the same: its inputs, or the code that ran in it, changed")
    if not after.installed:
        return ChangeCause((), False, f"its environment can no longer be built{_obstacle(after)}")
    if not before.installed:
        return ChangeCause((), False, f"its environment could not be built before{_obstacle(before)}")
    return ChangeCause((), False, "same packages, but the environment differs in engine, base image or files")


def _obstacle(observation: Observation) -> str:
    obstacle = observation.obstacle
    return f" ({obstacle.stage}: {obstacle.reason})" if obstacle else ""


def package_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[_PackageChange, ...]:
    """Return the packages that were added, removed or have another version; none where one side was not installed."""
    if not before or not after:
        return ()
    names = sorted(before.keys() | after.keys())
    return tuple((n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n))


def words(packages: Collection[_PackageChange]) -> str:
    """Print `numpy 1.26.4 → 2.0.0, six 1.16 removed`, the larger steps first."""
    said = [_word(*package) for package in sorted(packages, key=_size)[:_NAMED]]
    more = len(packages) - _NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _word(name: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"{name} {after} added"
    return f"{name} {before} removed" if after is None else f"{name} {before} → {after}"


def _size(package: _PackageChange) -> tuple[int, str]:
    name, before, after = package
    try:
        one, two = Version(before or "0").release, Version(after or "0").release
    except InvalidVersion:
        return 9, name
    step = next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 8)
    return step, name


def _observation(record: CellRecord, role: Role | None, observations: Mapping[int, Observation]) -> Observation | None:
    number = {"exporter": record.export, "reference": record.reference}.get(role or "", record.convert)
    return observations.get(number) if number is not None else None


def _part(result: CellResult, role: Role | None) -> Observation | None:
    return {"exporter": result.export, "reference": result.reference}.get(role or "", result.convert)
