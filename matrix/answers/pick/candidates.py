"""The toolchains that come into question for a model: those of the table, and such as are made of its closest rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from matrix.answers.pick.constraints import Constraint, all_hold
from matrix.families import Family, family_of
from matrix.families.registry import newest_opset
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.table.exporters import Exporter, direct, expand, from_file
from matrix.table.ids import environment_name, joint_id
from matrix.table.model import Config, ConverterRow, ExporterRow, ModelSpec, Role


@dataclass(frozen=True)
class Candidates:
    """Every cell of a model that a plan could ask for. `build` is the project's build of torch, `needs` a kind of
    artifact that the converter has to be able to make."""

    config: Config
    locks: Mapping[str, Lock]
    build: str | None
    needs: str | None = None

    def cells(self, model: ModelSpec, constraints: Sequence[Constraint] = ()) -> tuple[Cell, ...]:
        """All cells whose environments are within the constraints. Of a cell that is to be in one environment too it
        is the locks of its two rows that decide: its own is made when it is tried."""
        return tuple(self._cells(model, tuple(constraints)))

    def _cells(self, model: ModelSpec, constraints: tuple[Constraint, ...]) -> Iterator[Cell]:
        replaced = self.config.resolver.replace
        for converter in self.config.converters:
            lock = self.locks.get(converter.id)
            if lock is None or lock.outcome != "resolved" or not converter.companions:
                continue
            made, newest = family_of(converter), newest_opset(self.config, converter, self.locks)
            if self.needs is not None and self.needs not in made.artifacts:
                continue
            for exporter in self._exporters(model, converter, made):
                other = self.locks.get(self.environment(exporter))
                if other is None or other.outcome != "resolved":
                    continue
                involved: dict[Role, Lock] = {"converter": lock}
                if exporter.writes:
                    involved["exporter"] = other
                if not all_hold(constraints, involved, replaced, made):
                    continue
                for opset in exporter.writable if exporter.writes else exporter.askable:
                    if opset <= newest:
                        yield Cell(model, exporter, opset, converter, lock.python)

    def environment(self, exporter: Exporter) -> str:
        """Name of the environment that an exporter runs in."""
        rows = {row.id: row for row in self.config.exporters}
        row = rows.get(exporter.row)
        return environment_name(exporter.row, row.builds if row is not None else (), self.build)

    def _exporters(self, model: ModelSpec, converter: ConverterRow, family: Family) -> list[Exporter]:
        if family.source == "torch":
            asked = direct(self.config) if model.factory is not None else None
            return [replace(asked, torch=converter.pins.get("torch", ""))] if asked is not None else []
        if model.onnx is not None:
            return [from_file(self.config)]
        # A builder is no way out for a user's own model.
        return [exporter for exporter in expand(self.config) if exporter.via != "builder"]

    def joined(self, cell: Cell, constraints: Sequence[Constraint] = ()) -> Cell:
        """The cell with both sides in one environment, on the converter's Python; what no row pins is resolved anew,
        within the constraints."""
        rows = {row.id: row for row in self.config.exporters}
        exporter = rows[cell.exporter.row]
        row = joint_row(cell.converter, exporter, self.build, cell.python)
        ranges = {
            item.name: str(item.versions) for item in constraints if item.name != "python" and item.name not in row.pins
        }
        if ranges:
            # Not above: who only looks candidates up should not wait for what searches need.
            from matrix.answers.remedies.apply import with_ranges

            row = row.model_copy(update={"id": with_ranges(row.id, ranges), "add": {**row.add, **ranges}})
        return replace(cell, exporter=replace(cell.exporter, row=row.id), converter=row)


def joint_row(converter: ConverterRow, exporter: ExporterRow, build: str | None, python: str) -> ConverterRow:
    """One row of both rows' pins; where they differ, the converter's. Its date is left to the resolver."""
    pins = {**exporter.pins, **converter.pins}
    # A build's version is not on the index, so no date is asked of it: arbitrary equality, which is no pin of a row.
    built = {package: f"==={version}" for package, version in exporter.builds.get(build or "", {}).items()}
    return converter.model_copy(
        update={
            "id": joint_id(converter.id, exporter.id),
            "pins": pins,
            "add": {**exporter.add, **converter.add, **built},
            "python": python,
            "as_of": None,
            "note": f"{converter.id} and {exporter.id} in one environment",
        }
    )
