"""Why a cell came to something else: what is installed otherwise than when it was last found out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from matrix.history.timelines import CellChange, History
from matrix.judging.cells import CellResult
from matrix.store import CellRecord, Observation, Store
from matrix.table.model import Role

# Of so many packages a sentence names each.
_NAMED = 4


@dataclass(frozen=True)
class Why:
    """`packages` are (name, before, after) of the environment that the change is about; None: not installed."""

    packages: tuple[tuple[str, str | None, str | None], ...]
    same_environment: bool
    sentence: str


def explain_all(store: Store, history: History, changes: Iterable[CellChange]) -> dict[CellChange, Why]:
    """Of changes that have a finding before them; the others are new, and need no explanation."""
    asked = [(change, change.before_run, change.before) for change in changes]
    sides = {
        change: tuple(history.timelines[change.cell].row(run) for run in (before_run, change.run))
        for change, before_run, _ in asked
        if before_run is not None
    }
    records = store.cell_history.records(row for pair in sides.values() for row in pair)
    observations = store.observations(number for record in records.values() for number in record.observations)
    found = {}
    for change, _, said in asked:
        if change in sides and said is not None:
            role = history.conclusions[change.after].finding.role or history.conclusions[said].finding.role
            before, after = (_observation(records[row], role, observations) for row in sides[change])
            found[change] = why(before, after)
    return found


def why_between(before: CellResult, after: CellResult) -> Why:
    """The same of two results of one cell."""
    role = after.finding.role or before.finding.role
    return why(*(_part(side, role) for side in (before, after)))


def why(before: Observation | None, after: Observation | None) -> Why:
    """Of the environment that the change is about, as it was observed on both sides."""
    if before is None or after is None:
        return Why(
            (), False, "it did not get that far before" if before is None else "it did not get that far any more"
        )
    if before.id == after.id:
        return Why((), True, "nothing was measured anew: the table or the rules of judging changed")
    same = before.environment_id == after.environment_id
    packages = installed_otherwise(before.installed, after.installed)
    if packages:
        return Why(packages, same, f"installed otherwise: {words(packages)}")
    if same:
        return Why((), True, "the environment is the same: what it was given, or the code that ran in it, changed")
    if not after.installed:
        return Why((), False, f"its environment could be made before, and not any more{_obstacle(after)}")
    if not before.installed:
        return Why((), False, f"its environment can be made now, and could not before{_obstacle(before)}")
    return Why((), False, "the same packages in an environment that was made otherwise: engine, base image or files")


def _obstacle(observation: Observation) -> str:
    obstacle = observation.obstacle
    return f" ({obstacle.stage}: {obstacle.reason})" if obstacle else ""


def installed_otherwise(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[tuple[str, str | None, str | None], ...]:
    """Packages of which another version, or none, is installed; nothing where one side was never installed."""
    if not before or not after:
        return ()
    names = sorted(before.keys() | after.keys())
    return tuple((n, before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n))


def words(packages: tuple[tuple[str, str | None, str | None], ...]) -> str:
    """`numpy 1.26.4 → 2.0.0, six 1.16 gone`; the larger steps first where there are too many to name."""
    ordered = sorted(packages, key=_size)
    said = [_word(*package) for package in ordered[:_NAMED]]
    more = len(packages) - _NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _word(name: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"{name} {after} came"
    return f"{name} {before} gone" if after is None else f"{name} {before} → {after}"


def _size(package: tuple[str, str | None, str | None]) -> tuple[int, str]:
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
