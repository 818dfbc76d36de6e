"""Plan the cells of a tier, in the table's order. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from matrix.core.errors import NothingSelected, UsageError
from matrix.families.registry import family_of, newest_opset
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell, Selection
from matrix.table import selectors
from matrix.table.exporters import EXPORTER_KEYS, Exporter, direct, expand, from_file
from matrix.table.ids import environment_name
from matrix.table.model import Config, ConverterRow, ModelSpec, Tier
from matrix.table.selectors import Selector

# The distance from a row's date within which exporters are of its time.
OF_ITS_TIME = dt.timedelta(days=366)


@dataclass(frozen=True)
class Plan:
    """The cells of a run. `builds` maps exporter rows to the environment of their chosen build."""

    cells: tuple[Cell, ...]
    tier: str
    builds: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    def exporter_environment(self, cell: Cell) -> str:
        """Return the name of the environment that exports for this cell."""
        return self.builds.get(cell.exporter.row, cell.exporter.row)

    def environments(self, reference: str) -> tuple[str, ...]:
        """Return the names of all environments that the cells need, in the order in which they are reached."""
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
    """Plan the selected cells. `given` are models named by the user: they belong to every tier.

    Raises UsageError for an unknown tier, NothingSelected where no cell is selected.
    """
    tier = config.tiers.get(selection.tier)
    if tier is None:
        raise UsageError(f"there is no tier {selection.tier!r}; this table has: {', '.join(config.tiers)}")
    notes: list[str] = []
    wanted = selection.selector
    cells: dict[tuple[str, str, int, str], Cell] = {}
    for cell in _Table(config, locks, wanted, given).tier(tier, notes):
        cells.setdefault((cell.model.id, cell.exporter.id, cell.opset, cell.converter.id), cell)
    if not cells:
        only = ", ".join(f"{c.key}: {' or '.join(c.alternatives)}" for c in wanted.conditions)
        raise NothingSelected(
            f"tier {selection.tier!r} has no cell{f' with {only}' if only else ''}; `--tier documented` and "
            "`--tier full` have more: `python -m matrix plan --tier full --only …` lists them"
        )
    builds = {row.id: environment_name(row.id, row.builds, build) for row in config.exporters}
    return Plan(tuple(cells.values()), selection.tier, builds, tuple(notes))


class _Table:
    """The table with its locks, for cutting the wanted cells of tiers out of it."""

    def __init__(self, config: Config, locks: Mapping[str, Lock], wanted: Selector, given: frozenset[str]) -> None:
        self.config = config
        self.locks = locks
        self.wanted = wanted
        self.given = given
        self.exporters = expand(config)
        # Without the builders, which cannot export a user's own model.
        self.torch_exporters = [exporter for exporter in self.exporters if exporter.via != "builder"]
        self.file = from_file(config)
        self.direct = direct(config)
        self.on_model = wanted.restricted(("model",))
        self.on_exporter = wanted.restricted(EXPORTER_KEYS)
        self.on_cell = wanted.restricted(("cell", "*"))

    def tier(self, tier: Tier, notes: list[str]) -> Iterator[Cell]:
        models = [
            m
            for m in self.config.models
            if (
                m.id in self.given
                or (m.id in tier.models if tier.models is not None else (m.package is not None) == tier.packaged)
            )
            and self.on_model({"model": m.id})
        ]
        stated = [selectors.from_mapping(mapping) for mapping in tier.cells or ()]
        asked = [c for selector in (self.wanted, *stated) for c in selector.conditions if c.key == "converter"]
        named = {name for c in asked for name in c.alternatives}
        converters = [
            c
            for c in self.config.converters
            if (c.id in tier.converters if tier.converters is not None else c.companions or tier.bare or c.id in named)
        ]
        if tier.cells is not None:
            for selector in stated:
                yield from self._cut(selector, models, converters)
            return
        for converter in self._converters(converters, (self.wanted,)):
            if family_of(converter).source == "torch":
                yield from self._directly(converter, models)
                continue
            date = self._date(converter)
            if date is None and tier.rule != "full":
                notes.append(f"{converter.id} has no lock yet, and so no date to go by; `run` makes one")
            for exporter, opset in self._pairs(tier.rule or "full", converter, date):
                yield from self._from_files(exporter, opset, converter, models)

    def _pairs(self, rule: str, converter: ConverterRow, date: dt.date | None) -> Iterator[tuple[Exporter, int]]:
        """Yield the exporters and opsets that a rule pairs with a converter."""
        newest = newest_opset(self.config, converter, self.locks)
        match rule:
            case "nearest":
                yield self._nearest(newest, date)
            case "documented":
                for exporter in self.torch_exporters:
                    near = date is not None and abs(exporter.released - date) <= OF_ITS_TIME
                    if near or exporter.current:
                        yield from ((exporter, opset) for opset in _up_to(exporter.writable, newest))
            case _:
                for exporter in self.exporters:
                    yield from ((exporter, opset) for opset in exporter.askable)

    def _nearest(self, newest: int, date: dt.date | None) -> tuple[Exporter, int]:
        """Return the exporter closest in time that writes an opset the converter reads, and the newest such opset."""
        able = [e for e in self.torch_exporters if e.writable.start <= newest] or self.torch_exporters
        if date is None:
            able = [e for e in able if e.current] or able
        else:
            # An exporter from years later is not of its time, even if nothing was released in between.
            able = [e for e in able if e.released <= date + OF_ITS_TIME] or able
        exporter = min(able, key=lambda e: (abs(e.released - date) if date else dt.timedelta(0), e.id))
        return exporter, max((o for o in exporter.writable if o <= newest), default=exporter.writable.start)

    def _cut(self, selector: Selector, models: list[ModelSpec], converters: list[ConverterRow]) -> Iterator[Cell]:
        """Yield the cells that a tier selects."""
        on_model = selector.restricted(("model",))
        models = [m for m in models if on_model({"model": m.id})]
        on_exporter = selector.restricted(EXPORTER_KEYS)
        on_cell = selector.restricted(("cell", "*"))
        pairs = [
            (exporter, opset)
            for exporter in self.exporters
            for opset in exporter.askable
            if on_exporter({**exporter.subject, "opset": str(opset)})
        ]
        for converter in self._converters(converters, (selector, self.wanted)):
            if family_of(converter).source == "torch":
                yield from (cell for cell in self._directly(converter, models) if selector(cell.subject))
                continue
            for exporter, opset in pairs:
                for cell in self._from_files(exporter, opset, converter, models):
                    if not on_cell.conditions or on_cell(cell.subject):
                        yield cell

    def _converters(self, rows: list[ConverterRow], by: tuple[Selector, ...]) -> list[ConverterRow]:
        others = (*EXPORTER_KEYS, "model", "cell", "*")
        narrowed = [Selector(tuple(c for c in s.conditions if c.key not in others)) for s in by]
        return [row for row in rows if all(selector(self._subject(row)) for selector in narrowed)]

    def _from_files(
        self, exporter: Exporter, opset: int, converter: ConverterRow, models: list[ModelSpec]
    ) -> Iterator[Cell]:
        """Yield the wanted cells of a converter that takes .onnx files."""
        on_exporter = self.on_exporter({**exporter.subject, "opset": str(opset)})
        python = self._python(converter)
        for model in models:
            if model.is_file:
                # It is the same file with every exporter, and so the same cell.
                cell = Cell(model, self.file, 0, converter, python)
            elif on_exporter and _writes(exporter, opset, model):
                cell = Cell(model, exporter, opset, converter, python)
            else:
                continue
            if not self.on_cell.conditions or self.on_cell(cell.subject):
                yield cell

    def _directly(self, converter: ConverterRow, models: list[ModelSpec]) -> Iterator[Cell]:
        """Yield the wanted cells of a converter that takes the torch module: without exporter, opset or .onnx file."""
        if self.direct is None:
            return
        python = self._python(converter)
        # Its torch is the converter's own, the only one beside the current torch that computes the right outputs.
        own = replace(self.direct, torch=converter.pins.get("torch", ""))
        for model in models:
            if model.factory is not None:
                cell = Cell(model, own, 0, converter, python)
                if self.wanted(cell.subject):
                    yield cell

    def _subject(self, row: ConverterRow) -> dict[str, Any]:
        return {**row.pins, "converter": row.id, "family": row.family, "python": self._python(row)}

    def _python(self, row: ConverterRow) -> str:
        lock = self.locks.get(row.id)
        return lock.python if lock else row.python or ""

    def _date(self, row: ConverterRow) -> dt.date | None:
        """Return the date as of which the row is resolved; None where it has neither a date nor a lock."""
        lock = self.locks.get(row.id)
        return row.as_of or (lock.as_of if lock else None)


def _writes(exporter: Exporter, opset: int, model: ModelSpec) -> bool:
    if exporter.via != "builder":
        return True
    return model.builder is not None and model.builder.opsets[0] <= opset <= model.builder.opsets[1]


def _up_to(writable: range, newest: int) -> list[int]:
    """Return every opset that the converter reads, and the next one above."""
    known = [opset for opset in writable if opset <= newest]
    above = [opset for opset in writable if opset > newest]
    return known + above[:1]
