"""A cell of the table and the selection of cells a command asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from matrix.table.exporters import Exporter
from matrix.table.ids import CellId, RowId
from matrix.table.model import ConverterRow, ExporterRow, ModelSpec
from matrix.table.selectors import Condition, Selector


class Step(NamedTuple):
    """A change that was made: its kind, and what exactly in words, `opset 13→11`."""

    kind: str
    words: str

    @property
    def id(self) -> str:
        return re.sub(r"[^\w.=<>~!]+", "-", self.words).strip("-")


@dataclass(frozen=True, slots=True)
class Cell:
    """toolchain × model × opset. `python` is the converter environment's, '' while it has no lock.

    A search asks for more of a cell, its `base`: to convert it with `changes`, of which `alterations` are made to the
    .onnx file between exporter and converter and `environ` is set for the converter; or, with `locate`, to find in
    that case of the inputs the node at which the numbers part. `exporter_row` is set where a change made a row of its
    own of the exporter's.
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
        """Print the cell's id."""
        if self.base is not None:
            searched = "located" if self.locate is not None else "+".join(change.id for change in self.changes)
            return str(replace(CellId.parse(self.base), search=searched))
        return str(replace(self.read_id, row=RowId.parse(self.converter.id)))

    @property
    def read_id(self) -> CellId:
        """The id of its model as it is exported or read, whatever converts it then."""
        opset = self.opset if self.exporter.writes else None
        return CellId(self.model.id, RowId.parse(self.exporter.id), opset, None)

    @property
    def subject(self) -> dict[str, str]:
        """What selectors see. A cell that nothing is exported for has no opset, so that no condition on one holds."""
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
    """Which cells: a tier, narrowed by conditions."""

    tier: str
    only: tuple[Condition, ...] = ()

    @property
    def selector(self) -> Selector:
        """Conditions on the same key widen each other, on different keys they narrow."""
        merged: dict[str, tuple[str, ...]] = {}
        for condition in self.only:
            merged[condition.key] = merged.get(condition.key, ()) + condition.alternatives
        return Selector(tuple(Condition(key, alternatives) for key, alternatives in merged.items()))
