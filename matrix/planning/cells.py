"""A cell of the table and the selection of cells a command asks for."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.config.exporters import Exporter
from matrix.config.model import ConverterRow, ModelSpec
from matrix.selectors import Condition, Selector


@dataclass(frozen=True, slots=True)
class Cell:
    """toolchain × model × opset. `python` is the converter environment's, '' while it has no lock."""

    model: ModelSpec
    exporter: Exporter
    opset: int
    converter: ConverterRow
    python: str

    @property
    def id(self) -> str:
        return f"{self.model.id}/{self.exporter.id}@{self.opset}/{self.converter.id}"

    @property
    def subject(self) -> dict[str, str]:
        """What selectors see."""
        return {
            **self.converter.pins,
            **self.exporter.subject,
            "model": self.model.id,
            "opset": str(self.opset),
            "converter": self.converter.id,
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
