"""Rows derived from the closest ones of the table, for constraints that none of them satisfies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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

# Each derived row has to be resolved, and an environment built for it: as many as one is willing to wait for.
_VERSIONS = 2
_ROWS = 4

Releases = Callable[[str], Mapping[Version, dt.date]]
"""Returns all released versions of a package, with the dates of their uploads."""


def derived_rows(
    config: Config, locks: Mapping[str, Lock], constraints: Sequence[Constraint], releases: Releases
) -> tuple[Row, ...]:
    """Return rows within the constraints, converters before exporters, the closest to the table's first; none for a
    side that no constraint applies to. Raises what `releases` raises."""
    derivation = _Derivation(config, locks, releases)
    rows = [row for row in config.converters if row.companions]
    families = in_order(row.family for row in rows)
    able = [family for family in families if not _foreign(constraints, family, families)]
    sides: list[Row] = []
    for family in able:
        mine = [constraint for constraint in constraints if constraint.decides("converter", family)]
        own = [row for row in rows if row.family == family.name]
        sides += derivation.side(family, own, mine)[: max(_ROWS // len(able), 1)]
    readers = [family for family in able if family.source == "onnx"]
    mine = [item for item in constraints if readers and all(item.decides("exporter", family) for family in readers)]
    return (*sides, *derivation.side(None, config.exporters, mine))


def _foreign(constraints: Sequence[Constraint], family: Family, families: Sequence[Family]) -> bool:
    """Whether a constraint names a package of another family only: installing it beside this one satisfies nothing."""
    others = {package for other in families for package in other.packages} - {*family.packages, family.reads}
    return any(constraint.name in others.difference(EXPORTERS) for constraint in constraints)


@dataclass(frozen=True)
class _Derivation:
    config: Config
    locks: Mapping[str, Lock]
    releases: Releases

    def side(self, family: Family | None, rows: Sequence[AnyRow], mine: Sequence[Constraint]) -> list[Row]:
        """Derive rows from a family's, or from the exporters' (None), within the constraints on them. Versions of
        packages that such rows pin are pinned, others are added as ranges."""
        if not mine:
            return []
        packages = family.packages if family is not None else EXPORTERS
        pinned = {item.name: self._versions(item, rows) for item in mine if item.name in packages}
        ranges = [item for item in mine if item.name not in ("python", *packages)]
        python = next((item for item in mine if item.name == "python"), None)
        known = {row.id for row in rows}
        derived: dict[str, Row] = {}
        for versions in product(*pinned.values()):
            for row in self._pinned(family, rows, dict(zip(pinned, versions, strict=True))):
                for changed in self._on_pythons(row, python):
                    final = self._ranged(changed, ranges)
                    if final.id not in known:
                        derived.setdefault(final.id, final)
        return list(islice(derived.values(), _ROWS))

    def _versions(self, constraint: Constraint, rows: Sequence[Row]) -> list[str]:
        """Return the versions that rows pin, newest first; if none is within the range, the newest patch release of
        each released minor version."""
        fits = constraint.versions.contains
        pinned = {row.pins[constraint.name] for row in rows if constraint.name in row.pins}
        within = [version for version in pinned if fits(version)]
        if not within:
            known = {
                "onnx": [release.version for release in self.config.onnx],
                "torch": [release.version for release in self.config.torch],
            }
            offered = known.get(constraint.name) or [str(version) for version in self.releases(constraint.name)]
            fitting = sorted((version for version in offered if fits(version)), key=Version)
            within = list({Version(version).release[:2]: version for version in fitting}.values())
        return sorted(within, key=Version, reverse=True)[:_VERSIONS]

    def _pinned(self, family: Family | None, rows: Sequence[AnyRow], pins: Mapping[str, str]) -> list[AnyRow]:
        """Return rows of the table with these pins in place of their own; without pins, the newest rows as they are."""
        if not pins:
            return list(reversed(rows))[:_ROWS]
        changed, names = with_pins(self.config, pins, family.name if family is not None else None)
        of_role = changed.converters if family is not None else changed.exporters
        return [cast("AnyRow", row) for row in of_role if row.id in names]

    def _on_pythons(self, row: AnyRow, constraint: Constraint | None) -> Iterator[AnyRow]:
        if constraint is None:
            yield row
            return
        able = [python for python in self.config.resolver.pythons if constraint.versions.contains(python)]
        for python in sorted(able, key=Version, reverse=True)[:_VERSIONS]:
            name = changed_id(row.id, [f"python{python}"])
            yield row.model_copy(update={"id": name, "python": python, "as_of": None})

    def _ranged(self, row: AnyRow, constraints: Sequence[Constraint]) -> AnyRow:
        """Add ranges of packages that no row pins, on the Python the row has, as of the first day on which they could
        be satisfied, but not before the row's own date."""
        if not constraints:
            return row
        lock = self.locks.get(row.id)
        ranges = {item.name: str(item.versions) for item in constraints}
        as_of = row.as_of or (lock.as_of if lock else None)
        if as_of is not None:
            as_of = max([as_of, *map(self._possible_from, constraints)])
        return row.model_copy(
            update={
                "id": with_ranges(row.id, ranges),
                "add": {**row.add, **ranges},
                "python": row.python or (lock.python if lock else None),
                "as_of": as_of,
            }
        )

    def _possible_from(self, constraint: Constraint) -> dt.date:
        """Return the upload date of the oldest version in the range, plus the table's margin for other packages."""
        fits = constraint.versions.contains
        dates = [date for version, date in self.releases(constraint.name).items() if fits(version)]
        return min(dates) + dt.timedelta(days=self.config.resolver.margin_days) if dates else dt.date.min
