"""The candidate toolchains for a model: pairs of rows of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from matrix.answers.pick.constraints import Constraint
from matrix.families import Family, family_of
from matrix.families.registry import newest_opset
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.exporters import Exporter, direct, expand, from_file
from matrix.table.ids import environment_name, joint_id
from matrix.table.model import Config, ConverterRow, ExporterRow, ModelSpec, Role


@dataclass(frozen=True)
class Candidates:
    """All cells of a model that a plan could contain. `build` is the project's build of torch, `needs` a kind of
    artifact that the converter must be able to make."""

    config: Config
    locks: Mapping[str, Lock]
    build: str | None
    needs: str | None = None

    @cached_property
    def _rows(self) -> dict[str, ExporterRow]:
        return {row.id: row for row in self.config.exporters}

    def cells(self, model: ModelSpec, constraints: Sequence[Constraint] = ()) -> tuple[Cell, ...]:
        """Return all cells whose environments are within the constraints. The locks of the two rows decide, also for a
        cell that is to run in a single environment: that one is resolved when the cell is tried."""
        found: list[Cell] = []
        for converter in self.config.converters:
            lock = self.locks.get(converter.id)
            if lock is None or lock.outcome != "resolved" or not converter.companions:
                continue
            family, newest = family_of(converter), newest_opset(self.config, converter, self.locks)
            if self.needs is not None and self.needs not in family.artifacts:
                continue
            for exporter in self._exporters(model, converter, family):
                row = self._rows.get(exporter.row)
                builds = row.builds if row is not None else ()
                other = self.locks.get(environment_name(exporter.row, builds, self.build))
                if other is None or other.outcome != "resolved":
                    continue
                locks: dict[Role, Lock] = {"converter": lock, **({"exporter": other} if exporter.writes else {})}
                if all(one.holds(locks, self.config.resolver.replace, family) for one in constraints):
                    opsets = exporter.writable if exporter.writes else exporter.askable
                    found += [Cell(model, exporter, n, converter, lock.python) for n in opsets if n <= newest]
        return tuple(found)

    def _exporters(self, model: ModelSpec, converter: ConverterRow, family: Family) -> list[Exporter]:
        if family.source == "torch":
            asked = direct(self.config) if model.factory is not None else None
            return [replace(asked, torch=converter.pins.get("torch", ""))] if asked is not None else []
        if model.is_file:
            return [from_file(self.config)]
        # Only the zoo has builders: a user's own model cannot be exported by one.
        return [exporter for exporter in expand(self.config) if exporter.via != "builder"]

    def joined(self, cell: Cell, constraints: Sequence[Constraint] = ()) -> Cell:
        """Return the cell with both sides in one environment, on the converter's Python. Packages that no row pins are
        resolved anew, within the constraints."""
        row = _joint_row(cell.converter, self._rows[cell.exporter.row], self.build, cell.python)
        ranges = {
            item.name: str(item.versions) for item in constraints if item.name != "python" and item.name not in row.pins
        }
        if ranges:
            # Imported here because listing candidates must stay fast.
            from matrix.answers.remedies.apply import with_ranges

            row = row.model_copy(update={"id": with_ranges(row.id, ranges), "add": {**row.add, **ranges}})
        return replace(cell, exporter=replace(cell.exporter, row=row.id), converter=row)


def _joint_row(converter: ConverterRow, exporter: ExporterRow, build: str | None, python: str) -> ConverterRow:
    """Make one row with the pins of both, the converter's where they differ. Its date is left to the resolver."""
    # The index has no build's version, so no date can be looked up for it: arbitrary equality, which rows never pin.
    built = {package: f"==={version}" for package, version in exporter.builds.get(build or "", {}).items()}
    return converter.model_copy(
        update={
            "id": joint_id(converter.id, exporter.id),
            "pins": {**exporter.pins, **converter.pins},
            "add": {**exporter.add, **converter.add, **built},
            "python": python,
            "as_of": None,
            "note": f"{converter.id} and {exporter.id} in one environment",
        }
    )
