"""Rows made of the closest ones of the table, for constraints that none of them meets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TypeVar, cast

from packaging.version import Version

from matrix.answers.pick.constraints import EXPORTERS, Constraint
from matrix.answers.remedies.apply import with_ranges
from matrix.families import Family, in_order
from matrix.packages.lock import Lock
from matrix.planning import with_pins
from matrix.table.ids import changed_id
from matrix.table.model import Config, Row

AnyRow = TypeVar("AnyRow", bound=Row)

# Each made row has to be resolved, and a converter of it to be built: as many as one waits for.
_VERSIONS = 2
_ROWS = 4

Releases = Callable[[str], Mapping[Version, dt.date]]
"""All released versions of a package, with the dates of their uploads."""


def stretched(
    config: Config, locks: Mapping[str, Lock], constraints: Sequence[Constraint], releases: Releases
) -> tuple[Row, ...]:
    """Rows within the constraints, converters before exporters, closest to those of the table; none for a side that
    no constraint is about."""
    rows = [row for row in config.converters if row.companions]
    families = in_order(row.family for row in rows)
    able = [made for made in families if not _foreign(constraints, made, families)]
    sides: list[Row] = []
    for made in able:
        mine = [constraint for constraint in constraints if constraint.decides("converter", made)]
        own = [row for row in rows if row.family == made.name]
        side = _side(made, made.packages, config, own, locks, mine, releases)
        sides += side[: max(_ROWS // len(able), 1)]
    readers = [made for made in able if made.source == "onnx"]
    mine = [item for item in constraints if readers and all(item.decides("exporter", made) for made in readers)]
    return (*sides, *_side(None, EXPORTERS, config, config.exporters, locks, mine, releases))


def _foreign(constraints: Sequence[Constraint], family: Family, families: Sequence[Family]) -> bool:
    """Whether something is asked for that is another family's: a row of this one does not come to it by installing
    that beside it."""
    others = {package for other in families for package in other.packages} - {*family.packages, family.reads}
    return any(constraint.name in others.difference(EXPORTERS) for constraint in constraints)


def _side(
    family: Family | None,
    packages: Sequence[str],
    config: Config,
    rows: Sequence[AnyRow],
    locks: Mapping[str, Lock],
    mine: Sequence[Constraint],
    releases: Releases,
) -> list[Row]:
    """Rows made of a family's, or of the exporters'. `packages` are what they pin; every other is asked for as a
    range."""
    if not mine:
        return []
    pinned = {item.name: _versions(item, config, rows, releases) for item in mine if item.name in packages}
    ranges = [item for item in mine if item.name not in ("python", *packages)]
    python = next((item for item in mine if item.name == "python"), None)
    known = {row.id for row in rows}
    made: dict[str, Row] = {}
    for pins in _combinations(pinned):
        for row in _with(config, family, rows, pins):
            for changed in _on_pythons(row, python, config.resolver.pythons):
                final = _ranged(changed, ranges, locks.get(changed.id), config.resolver.margin_days, releases)
                if final.id not in known:
                    made.setdefault(final.id, final)
    return list(islice(made.values(), _ROWS))


def _versions(constraint: Constraint, config: Config, rows: Sequence[Row], releases: Releases) -> list[str]:
    """Those that rows pin, newest first; where there is none, the newest micro of every released minor."""
    fits = constraint.versions.contains
    pinned = {row.pins[constraint.name] for row in rows if constraint.name in row.pins}
    within = [version for version in pinned if fits(version)]
    if not within:
        known = {
            "onnx": [release.version for release in config.onnx],
            "torch": [release.version for release in config.torch],
        }
        offered = known.get(constraint.name) or [str(version) for version in releases(constraint.name)]
        newest: dict[tuple[int, ...], str] = {}
        for version in sorted((text for text in offered if fits(text)), key=Version):
            newest[Version(version).release[:2]] = version
        within = list(newest.values())
    return sorted(within, key=Version, reverse=True)[:_VERSIONS]


def _combinations(choices: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for versions in product(*choices.values()):
        yield dict(zip(choices, versions, strict=True))


def _with(config: Config, family: Family | None, rows: Sequence[AnyRow], pins: Mapping[str, str]) -> list[AnyRow]:
    """Rows of the table with these pins instead of their own; without any, the newest rows as they are."""
    if not pins:
        return list(reversed(rows))[:_ROWS]
    changed, names = with_pins(config, pins, family.name if family is not None else None)
    of_role = changed.converters if family is not None else changed.exporters
    return [cast("AnyRow", row) for row in of_role if row.id in names]


def _on_pythons(row: AnyRow, constraint: Constraint | None, pythons: Sequence[str]) -> Iterator[AnyRow]:
    if constraint is None:
        yield row
        return
    able = [python for python in pythons if constraint.versions.contains(python)]
    for python in sorted(able, key=Version, reverse=True)[:_VERSIONS]:
        yield row.model_copy(update={"id": changed_id(row.id, [f"python{python}"]), "python": python, "as_of": None})


def _ranged(
    row: AnyRow, constraints: Sequence[Constraint], lock: Lock | None, margin_days: int, releases: Releases
) -> AnyRow:
    """With ranges of packages that no row pins, on the Python the row has, and as of a day on which they could be met:
    its own, or later."""
    if not constraints:
        return row
    ranges = {item.name: str(item.versions) for item in constraints}
    as_of = row.as_of or (lock.as_of if lock else None)
    if as_of is not None:
        as_of = max([as_of, *(_possible_from(item, margin_days, releases) for item in constraints)])
    return row.model_copy(
        update={
            "id": with_ranges(row.id, ranges),
            "add": {**row.add, **ranges},
            "python": row.python or (lock.python if lock else None),
            "as_of": as_of,
        }
    )


def _possible_from(constraint: Constraint, margin_days: int, releases: Releases) -> dt.date:
    """The day on which the oldest version within a range was out for as long as a row's rest is given."""
    dates = [date for version, date in releases(constraint.name).items() if constraint.versions.contains(version)]
    return min(dates) + dt.timedelta(days=margin_days) if dates else dt.date.min
