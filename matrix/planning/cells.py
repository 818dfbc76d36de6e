"""A cell, and the selection of cells that a command asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from matrix.core.errors import UsageError
from matrix.packages.lock import Lock
from matrix.table.exporters import Exporter, expand, without_exporter
from matrix.table.ids import CellId, RowId
from matrix.table.model import Config, ConverterRow, ExporterRow, ModelSpec
from matrix.table.selectors import Condition, Selector


class Step(NamedTuple):
    """A change that was made to a cell: its kind, and a description, `opset 13→11`."""

    kind: str
    words: str

    @property
    def id(self) -> str:
        return re.sub(r"[^\w.=<>~!]+", "-", self.words).strip("-")


@dataclass(frozen=True, slots=True)
class Cell:
    """toolchain × model × opset. `python` is the converter environment's, '' while it has no lock.

    Cells of a search vary another cell, their `base`: they convert it with `changes`, of which `alterations` are made
    to the .onnx file between exporter and converter and `environ` is set for the converter; or, with `locate`, they
    find the first diverging node in that case of the inputs. `exporter_row` is the exporter's row where a change made
    a new one.
    """

    model: ModelSpec
    exporter: Exporter
    opset: int
    converter: ConverterRow
    python: str
    base: str | None = None
    changes: tuple[Step, ...] = ()
    alterations: tuple[tuple[str, str | int | bool], ...] = ()
    environ: tuple[tuple[str, str], ...] = ()
    locate: int | None = None
    exporter_row: ExporterRow | None = None

    @property
    def id(self) -> str:
        """The cell's id as text."""
        if self.base is not None:
            searched = "located" if self.locate is not None else "+".join(change.id for change in self.changes)
            return str(replace(CellId.parse(self.base), search=searched))
        return str(replace(self.read_id, row=RowId.parse(self.converter.id)))

    @property
    def read_id(self) -> CellId:
        """The id of the export or of the reading of its model, without a converter."""
        opset = self.opset if self.exporter.writes else None
        return CellId(self.model.id, RowId.parse(self.exporter.id), opset, None)

    @property
    def subject(self) -> dict[str, str]:
        """The keys that selectors match. A cell without an export has no opset, so no condition on one holds for it."""
        return {
            **self.converter.pins,
            **self.exporter.subject,
            "model": self.model.id,
            **({"opset": str(self.opset)} if self.exporter.writes else {}),
            "converter": self.converter.id,
            "family": self.converter.family,
            "python": self.python,
            "cell": self.id,
        }


@dataclass(frozen=True)
class Selection:
    """A tier, narrowed by conditions."""

    tier: str
    only: tuple[Condition, ...] = ()

    @property
    def selector(self) -> Selector:
        """All conditions as one selector: those on the same key are alternatives, those on different keys must all
        hold."""
        merged: dict[str, tuple[str, ...]] = {}
        for condition in self.only:
            merged[condition.key] = merged.get(condition.key, ()) + condition.alternatives
        return Selector(tuple(Condition(key, alternatives) for key, alternatives in merged.items()))


def cell_named(config: Config, locks: Mapping[str, Lock], name: str) -> Cell:
    """Return the cell `model/exporter@opset/converter` or `model/file/converter`, whatever tier it is in. Raises
    UsageError naming the part that the table does not have, and for what is not the id of a cell."""
    named = CellId.parse(name)
    models = {item.id: item for item in config.models}
    converters = {row.id: row for row in config.converters}
    exporters = {item.id: item for item in (*expand(config), *without_exporter(config))}
    model, exporter, opset, converter = named.model, str(named.exporter), named.opset or 0, str(named.row)
    for kind, part, known in (
        ("model", model, models),
        ("exporter", exporter, exporters),
        ("converter", converter, converters),
    ):
        if part not in known:
            raise UsageError(f"{name}: the table has no {kind} {part!r}; it has: {', '.join(known)}")
    askable = exporters[exporter].askable
    if opset not in askable:
        raise UsageError(f"{name}: {exporter} takes opsets {askable.start} to {askable.stop - 1}")
    lock = locks.get(converter)
    return Cell(models[model], exporters[exporter], opset, converters[converter], lock.python if lock else "")
