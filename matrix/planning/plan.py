"""The cells of a tier, in the table's order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matrix.core.errors import NothingSelected, UsageError
from matrix.families import family_of
from matrix.families.registry import newest_opset
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell, Selection
from matrix.table import selectors
from matrix.table.exporters import EXPORTER_KEYS, Exporter, direct, expand, from_file
from matrix.table.ids import environment_name
from matrix.table.model import Config, ConverterRow, ModelSpec, Tier
from matrix.table.selectors import Selector

# Exporters count as of a row's time within this distance of the row's date.
OF_ITS_TIME = dt.timedelta(days=366)


@dataclass(frozen=True)
class Plan:
    """What a run would do. `builds` maps exporter rows to the environment of the build that was chosen for them."""

    cells: tuple[Cell, ...]
    tier: str
    builds: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    def exporter_environment(self, cell: Cell) -> str:
        """Name of the environment that exports for this cell."""
        return self.builds.get(cell.exporter.row, cell.exporter.row)

    def environments(self, reference: str) -> tuple[str, ...]:
        """Names of all environments the cells need, in the order work reaches them."""
        exporters = dict.fromkeys(self.exporter_environment(cell) for cell in self.cells)
        converters = dict.fromkeys(cell.converter.id for cell in self.cells)
        return tuple(dict.fromkeys((*exporters, reference, *converters)))


def make_plan(
    config: Config,
    locks: Mapping[str, Lock],
    selection: Selection,
    build: str | None,
    given: frozenset[str] = frozenset(),
) -> Plan:
    """The selected cells. `given` are models named one by one: they belong to every tier.

    Raises UsageError for an unknown tier, NothingSelected where no cell is left.
    """
    tier = config.tiers.get(selection.tier)
    if tier is None:
        raise UsageError(f"there is no tier {selection.tier!r}; this table has: {', '.join(config.tiers)}")
    table = _Table(config, locks, given)
    notes: list[str] = []
    wanted = selection.selector
    cells: dict[tuple[str, str, int, str], Cell] = {}
    for cell in table.tier(tier, notes, wanted):
        cells.setdefault((cell.model.id, cell.exporter.id, cell.opset, cell.converter.id), cell)
    if not cells:
        only = ", ".join(f"{c.key}: {' or '.join(c.alternatives)}" for c in wanted.conditions)
        raise NothingSelected(
            f"tier {selection.tier!r} has no cell with {only or 'any condition'}; "
            "`--tier documented` and `--tier full` have more, and `python -m matrix plan --tier full --only …` shows it"
        )
    builds = {row.id: environment_name(row.id, row.builds, build) for row in config.exporters}
    return Plan(tuple(cells.values()), selection.tier, builds, tuple(notes))


class _Table:
    """The table with its locks, ready to be cut into tiers."""

    def __init__(self, config: Config, locks: Mapping[str, Lock], given: frozenset[str]) -> None:
        self.config = config
        self.given = given
        self.locks = locks
        self.exporters = expand(config)
        self.file = from_file(config)
        self.direct = direct(config)

    def tier(self, tier: Tier, notes: list[str], wanted: Selector) -> Iterator[Cell]:
        models = [m for m in self.config.models if tier.models is None or m.id in tier.models or m.id in self.given]
        stated = [selectors.from_mapping(mapping) for mapping in tier.cells or ()]
        asked = [c for selector in (wanted, *stated) for c in selector.conditions if c.key == "converter"]
        named = {name for c in asked for name in c.alternatives}
        converters = [
            c
            for c in self.config.converters
            if (c.id in tier.converters if tier.converters is not None else c.companions or tier.bare or c.id in named)
        ]
        if tier.cells is not None:
            for selector in stated:
                yield from self._cut(selector, wanted, models, converters)
            return
        for converter in self._converters(converters, (wanted,)):
            if family_of(converter).source == "torch":
                yield from self._directly(converter, wanted, models)
                continue
            date = self.date(converter)
            if date is None and tier.rule != "full":
                notes.append(f"{converter.id} has no lock yet and so no date to go by; `run` makes one")
            for exporter, opset in self._asked(tier.rule or "full", converter, date):
                yield from self._narrow(exporter, opset, converter, wanted, models)

    @property
    def _torch_exporters(self) -> list[Exporter]:
        """Without the builders, which are no way out for a user's own model."""
        return [exporter for exporter in self.exporters if exporter.via != "builder"]

    def _asked(self, rule: str, converter: ConverterRow, date: dt.date | None) -> Iterator[tuple[Exporter, int]]:
        newest = newest_opset(self.config, converter, self.locks)
        match rule:
            case "nearest":
                yield from self._nearest(newest, date)
            case "documented":
                for exporter in self._torch_exporters:
                    near = date is not None and abs(exporter.released - date) <= OF_ITS_TIME
                    if near or exporter.current:
                        yield from ((exporter, opset) for opset in _up_to(exporter.writable, newest))
            case _:
                for exporter in self.exporters:
                    yield from ((exporter, opset) for opset in exporter.askable)

    def _nearest(self, newest: int, date: dt.date | None) -> Iterator[tuple[Exporter, int]]:
        """The exporter closest in time that writes an opset the converter's onnx knows, at the newest such opset."""
        able = [e for e in self._torch_exporters if e.writable.start <= newest] or self._torch_exporters
        if date is None:
            able = [e for e in able if e.current] or able
        else:
            # Years later is not of its time, however long nothing was released before.
            able = [e for e in able if e.released <= date + OF_ITS_TIME] or able
        exporter = min(able, key=lambda e: (abs(e.released - date) if date else dt.timedelta(0), e.id))
        yield exporter, max((o for o in exporter.writable if o <= newest), default=exporter.writable.start)

    def _cut(
        self, selector: Selector, wanted: Selector, models: list[ModelSpec], converters: list[ConverterRow]
    ) -> Iterator[Cell]:
        chosen = self._converters(converters, (selector, wanted))
        on_model = selector.restricted(("model",))
        models = [m for m in models if on_model({"model": m.id})]
        on_exporter = selector.restricted(EXPORTER_KEYS)
        on_cell = selector.restricted(("cell", "*"))
        asked = [
            (exporter, opset)
            for exporter in self.exporters
            for opset in exporter.askable
            if on_exporter({**exporter.subject, "opset": str(opset)})
        ]
        for converter in chosen:
            if family_of(converter).source == "torch":
                for cell in self._directly(converter, selector, models):
                    if wanted(cell.subject):
                        yield cell
                continue
            for exporter, opset in asked:
                for cell in self._narrow(exporter, opset, converter, wanted, models):
                    if not on_cell.conditions or on_cell(cell.subject):
                        yield cell

    def _converters(self, rows: list[ConverterRow], by: tuple[Selector, ...]) -> list[ConverterRow]:
        others = (*EXPORTER_KEYS, "model", "cell", "*")
        narrowed = [Selector(tuple(c for c in s.conditions if c.key not in others)) for s in by]
        return [row for row in rows if all(selector(self._subject(row)) for selector in narrowed)]

    def _narrow(
        self,
        exporter: Exporter,
        opset: int,
        converter: ConverterRow,
        wanted: Selector,
        models: list[ModelSpec],
    ) -> Iterator[Cell]:
        on_model, on_cell = wanted.restricted(("model",)), wanted.restricted(("cell", "*"))
        on_exporter = wanted.restricted(EXPORTER_KEYS)({**exporter.subject, "opset": str(opset)})
        python = self.python(converter)
        for model in models:
            if on_model({"model": model.id}) and (
                model.onnx is not None or (on_exporter and _writes(exporter, opset, model))
            ):
                # A file is what it is, whatever exporter is asked for: all of them are one cell.
                asked = (exporter, opset) if model.onnx is None else (self.file, 0)
                cell = Cell(model, *asked, converter, python)
                if not on_cell.conditions or on_cell(cell.subject):
                    yield cell

    def _directly(self, converter: ConverterRow, wanted: Selector, models: list[ModelSpec]) -> Iterator[Cell]:
        """Cells of a converter that takes the torch module: without exporter and opset, and of no .onnx file."""
        if self.direct is None:
            return
        python = self.python(converter)
        # The only torch that there is beside the one that is asked what the module computes.
        own = replace(self.direct, torch=converter.pins.get("torch", ""))
        for model in models:
            if model.factory is not None:
                cell = Cell(model, own, 0, converter, python)
                if wanted(cell.subject):
                    yield cell

    def _subject(self, row: ConverterRow) -> dict[str, Any]:
        return {**row.pins, "converter": row.id, "family": row.family, "python": self.python(row)}

    def python(self, row: ConverterRow) -> str:
        lock = self.locks.get(row.id)
        return lock.python if lock else row.python or ""

    def date(self, row: ConverterRow) -> dt.date | None:
        """The row's date: what its rest was, or is to be, resolved as of."""
        lock = self.locks.get(row.id)
        return row.as_of or (lock.as_of if lock else None)


def _writes(exporter: Exporter, opset: int, model: ModelSpec) -> bool:
    if exporter.via != "builder":
        return True
    return model.builder is not None and model.builder.opsets[0] <= opset <= model.builder.opsets[1]


def _up_to(writable: range, newest: int) -> list[int]:
    """Every opset the converter's onnx knows, and the next one above."""
    known = [opset for opset in writable if opset <= newest]
    above = [opset for opset in writable if opset > newest]
    return known + above[:1]
