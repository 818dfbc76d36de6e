"""What every command starts from: table, index settings, locks, and the plan they give."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from matrix.core.errors import ConfigError, EngineUnavailable, UsageError
from matrix.core.paths import CONVERTER
from matrix.environments.choose import choose
from matrix.environments.engine import Engine
from matrix.environments.locks.keep import LockFolders, refresh, stale
from matrix.environments.locks.request import ImpossiblePin, Request, make_request
from matrix.families import KNOWN, Family, in_order
from matrix.families.converter_folder import converter_folder
from matrix.families.registry import exclusive
from matrix.judging.reasons import known_reasons
from matrix.packages.index import IndexSettings
from matrix.packages.lock import Lock
from matrix.planning import Plan, Selection, make_plan, with_pins
from matrix.planning.cells import Cell
from matrix.planning.other_times import cells_of_now
from matrix.store.state import State
from matrix.table import Config, load_config, selectors
from matrix.table.exporters import expand, without_exporter
from matrix.table.ids import RowId, environment_name
from matrix.table.model import ConverterRow, ExporterRow, ModelSpec, Row
from matrix.table.source import read_source

if TYPE_CHECKING:
    from matrix.store import CellRecord

# How often a fresh lock may show that another row is needed: its date decides which exporters are of its time.
_ROUNDS = 5


@dataclass
class Project:
    """`only` and `with_` are the texts of the options; `torch_build` is auto, index, or the name of a build;
    `engine_name` is auto, docker or venv, `base` says which base images Docker uses. `given` are models that were
    named on the spot."""

    table: Path
    state: State
    settings: IndexSettings
    tier: str | None = None
    only: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    with_: tuple[str, ...] = ()
    torch_build: str = "auto"
    engine_name: str = "auto"
    base: str = "auto"
    given: tuple[ModelSpec, ...] = ()
    _locks: dict[str, Lock] | None = field(default=None, repr=False)
    _searched: dict[str, ExporterRow | ConverterRow] = field(default_factory=dict, repr=False)
    _adopted: dict[str, ExporterRow | ConverterRow] = field(default_factory=dict, repr=False)

    @cached_property
    def stated(self) -> Config:
        """The table as written."""
        return load_config(self.table, known_reasons(), KNOWN)

    @cached_property
    def _varied(self) -> tuple[Config, tuple[str, ...]]:
        config = self.stated.model_copy(update={"models": (*self.stated.models, *self.given)})
        if not self.with_:
            return config, ()
        return with_pins(config, dict(_pin(text) for text in self.with_))

    @property
    def config(self) -> Config:
        """The table with the models that were named on the spot and the rows that `--with` and searches add."""
        return _with_rows(self.offered, self._searched.values())

    @property
    def offered(self) -> Config:
        """The same without the rows that a search made for single cells, such as those with a remedy's packages:
        nothing else is to be tried with them."""
        return _with_rows(self._varied[0], self._adopted.values())

    @property
    def variants(self) -> frozenset[str]:
        """Names of environments that are no row's of the table, builds included."""
        rows = {row.id for row in (*self.stated.exporters, *self.stated.converters)}
        made = {name for name in (*self._varied[1], *self._adopted, *self._searched) if name not in rows}
        builds = {
            environment_name(row.id, row.builds, build)
            for row in self.config.exporters
            if row.id in made
            for build in row.builds
        }
        return frozenset(made | builds)

    @cached_property
    def folders(self) -> LockFolders:
        return LockFolders(self.table.parent / "envs", self.state.locks, exclusive(self._families))

    @property
    def locks(self) -> dict[str, Lock]:
        if self._locks is None:
            self._locks = self.folders.read()
        return self._locks

    def read_locks(self) -> dict[str, str]:
        """Read the locks anew, leaving out damaged ones; returns those, name to what is wrong."""
        damaged: dict[str, str] = {}
        self._locks = self.folders.read(damaged)
        return damaged

    @cached_property
    def selection(self) -> Selection:
        """Raises UsageError for an `--only` that cannot be read."""
        try:
            conditions = [selectors.from_text(text) for text in self.only]
        except ValueError as error:
            raise UsageError(f"--only: {error}") from error
        named = [*self.models, *(model.id for model in self.given)]
        conditions += [selectors.Condition("model", (name,)) for name in named]
        added = self._varied[1]
        for kind, rows in (("converter", self.config.converters), ("exporter", self.config.exporters)):
            names = [row.id for row in rows if row.id in added]
            if names:
                # An exporter row may be several exporters: its id is their common beginning.
                patterns = tuple(f"{name}*" if kind == "exporter" else name for name in names)
                conditions.append(selectors.Condition(kind, patterns))
        # A combination made on the spot is in no tier but those that span the whole table.
        tier = self.tier or ("full" if self._added_exporter else "each" if added else self.config.default_tier)
        return Selection(tier, tuple(conditions))

    @property
    def _added_exporter(self) -> bool:
        return any(row.id in self._varied[1] for row in self.config.exporters)

    @cached_property
    def build(self) -> str | None:
        """The build of exporters that have several: a CPU build where wheels of it were pointed out."""
        builds = {name: pins for row in self.config.exporters for name, pins in row.builds.items()}
        if self.torch_build == "index":
            return None
        if self.torch_build != "auto":
            if self.torch_build not in builds:
                raise UsageError(f"--torch-build {self.torch_build}: choose auto, index or {', '.join(builds)}")
            return self.torch_build
        for name, pins in builds.items():
            if all(self.settings.offers(package, version) for package, version in pins.items()):
                return name
        return None

    def plan(self) -> Plan:
        # Named one by one they are meant, whatever models a tier is about.
        given = frozenset((*self.models, *(model.id for model in self.given)))
        return make_plan(self.config, self.locks, self.selection, self.build, given)

    def further(self, plan: Plan, cells: tuple[Cell, ...], tell: Callable[[str], None], allowed: bool = True) -> Plan:
        """A plan of the cells a search asks for after `plan`, with a lock for every row it made of the table's;
        without cells that would need one where none may be made.

        Raises what `refresh` does.
        """
        self._learn(cells)
        builds = {row.id: self._built(row) for row in self.config.exporters}
        part = replace(plan, cells=cells, notes=(), builds=builds)
        outdated = stale(self.requests(self.environments(part)), self.locks)
        if outdated and not allowed:
            names = {request.name for request in outdated}
            tell(f"not tried, because it needs a new lock (--locked): {', '.join(sorted(names))}")
            reference = self.config.reference.id
            return replace(
                part,
                cells=tuple(
                    cell
                    for cell in cells
                    if names.isdisjoint((part.exporter_environment(cell), reference, cell.converter.id))
                ),
            )
        if outdated:
            self.refresh(outdated, tell)
        return part

    def exporter_environment(self, cell: Cell) -> str:
        """Name of the environment that exports for a cell: that of its row, or of the build chosen for it."""
        rows = {row.id: row for row in self.config.exporters}
        return self._built(rows[cell.exporter.row]) if cell.exporter.row in rows else cell.exporter.row

    def _built(self, row: Row) -> str:
        """Name of a row's environment, which may be that of a build."""
        return environment_name(row.id, row.builds if isinstance(row, ExporterRow) else (), self.build)

    def environments_of(self, record: CellRecord) -> tuple[str, str]:
        """Names of the environments that a stored cell exports and converts in. Its observations may name others: what
        was measured before in one that consists of the same is not measured again."""
        named = RowId.parse(record.exporter)
        exporters = {item.id: item.row for item in expand(self.config)}
        row = next((row for row in self.config.exporters if row.id == exporters.get(named.stem)), None)
        if row is None:
            return self.config.reference.id, record.converter
        return self._built(row.model_copy(update={"id": str(RowId(row.id, named.time))})), record.converter

    def adopt(self, rows: Sequence[Row], tell: Callable[[str], None], allowed: bool = True) -> dict[str, str]:
        """Take in rows that are made of the table's, each with a lock; row to why no packages fulfil it, or ''.

        Raises what `refresh` does.
        """
        self._adopted |= {row.id: row for row in rows if isinstance(row, (ExporterRow, ConverterRow))}
        names = {row.id: self._built(row) for row in rows}
        outdated = stale(self.requests(names.values()), self.locks)
        if outdated:
            self.refresh(outdated, tell, allowed)
        return {row: self.locks[name].explanation for row, name in names.items()}

    def cells_of_now(self, plan: Plan, as_of: dt.date) -> tuple[Cell, ...]:
        """The plan's cells with one environment each resolved as of a day."""
        exporters = {row.id: row for row in self.config.exporters}
        return cells_of_now(plan.cells, exporters, self.lock_of, as_of)

    def take_in(self, cells: Iterable[Cell]) -> list[Request]:
        """Make the rows known that a search, or another time, made for these cells; the requests of all environments
        of theirs that are of another time."""
        return self.requests(self._built(row) for row in self._learn(cells) if RowId.parse(row.id).time)

    def _learn(self, cells: Iterable[Cell]) -> list[ExporterRow | ConverterRow]:
        """Take in the rows of cells that are not known yet; returns those."""
        known = {row.id for row in (*self.config.exporters, *self.config.converters)}
        new = {
            row.id: row
            for cell in cells
            for row in (cell.converter, cell.exporter_row)
            if row is not None and row.id not in known
        }
        self._searched |= new
        return list(new.values())

    def has_row(self, name: str) -> bool:
        """Whether the table has a row or an exporter of this name, at whatever time."""
        return RowId.parse(name).stem in self._named

    @cached_property
    def _named(self) -> frozenset[str]:
        exporters = {item.id for item in (*expand(self.stated), *without_exporter(self.stated))}
        return frozenset(exporters | {row.id for row in self.stated.converters})

    def request(self, row: Row) -> Request:
        """The lock request of a row, known or not, of the build that is used of it."""
        build = self.build if isinstance(row, ExporterRow) and self.build in row.builds else None
        return make_request(self.config, row, build)

    def lock_of(self, row: Row) -> Lock | None:
        """The lock that is used of a row."""
        return self.locks.get(self._built(row))

    def use(self, locks: Iterable[Lock]) -> None:
        """Go by these locks, which no file holds."""
        self._locks = {**self.locks, **{lock.name: lock for lock in locks}}

    @cached_property
    def code(self) -> Path:
        """The folder of what runs inside environments."""
        return converter_folder(CONVERTER, self._families, self.state.code)

    @cached_property
    def _families(self) -> tuple[Family, ...]:
        """Those of the table's rows."""
        return in_order(row.family for row in self.stated.converters)

    def engine(self) -> tuple[Engine, str]:
        """The engine of this project, and one sentence that says which and why. Raises EngineUnavailable."""
        probe = self.locks.get(self.config.reference.id)
        python = probe.python if probe else None
        return choose(self.engine_name, self.state, self.settings, self.base, self.folders.committed, python, self.code)

    def engines(self) -> list[Engine]:
        """Every engine that may hold environments of this project: with `auto` all that work here."""
        found = []
        for name in ("venv", "docker") if self.engine_name == "auto" else (self.engine_name,):
            with contextlib.suppress(*((EngineUnavailable,) if self.engine_name == "auto" else ())):
                found.append(
                    choose(name, self.state, self.settings, self.base, self.folders.committed, None, self.code)[0]
                )
        return found

    def environments(self, plan: Plan) -> tuple[str, ...]:
        return plan.environments(self.config.reference.id)

    def requests(self, names: Iterable[str]) -> list[Request]:
        """The lock requests of environments by name. Raises UsageError for a name the table does not have."""
        known: dict[str, tuple[Row, str | None]] = {row.id: (row, None) for row in self.config.converters}
        known[self.config.reference.id] = (self.config.reference, None)
        for row in self.config.exporters:
            known[row.id] = (row, None)
            known |= {environment_name(row.id, row.builds, build): (row, build) for build in row.builds}
        wanted = list(names)
        if unknown := [name for name in wanted if name not in known]:
            raise UsageError(f"no row {', '.join(unknown)}; the table has: {', '.join(known)}")
        return [make_request(self.config, *known[name]) for name in wanted]

    def locked_plan(self, tell: Callable[[str], None], allowed: bool = True) -> Plan:
        """The plan with a current lock for every environment it needs, resolving what is missing or stale."""
        for _ in range(_ROUNDS):
            plan = self.plan()
            needed = self.requests(self.environments(plan))
            outdated = stale(needed, self.locks)
            if not outdated:
                return plan
            self.refresh(outdated, tell, allowed)
        return self.plan()

    def refresh(self, requests: list[Request], tell: Callable[[str], None], allowed: bool = True) -> list[Lock]:
        """Resolve and write locks. Raises what `keep.refresh` does; an impossible pin is said with its place."""
        try:
            made = refresh(requests, self.folders, self.variants, self.settings, tell, allowed)
        except ImpossiblePin as error:
            raise ConfigError(f"{self._place(error.row, error.package)}{error}") from error
        self._locks = {**self.locks, **{lock.name: lock for lock in made}}
        return made

    def _place(self, name: str, package: str) -> str:
        """`file:line:column: ` of a row's pin, '' for a row that `--with` made."""
        source = read_source(self.table)
        for section, rows in (("exporters", self.stated.exporters), ("converters", self.stated.converters)):
            for index, row in enumerate(rows):
                builds = getattr(row, "builds", {})
                if name in (row.id, *(environment_name(row.id, builds, build) for build in builds)):
                    return f"{source.where((section, index, 'pins', package))}: "
        return f"{source.where(('reference', 'pins', package))}: " if name == self.stated.reference.id else ""


def _with_rows(config: Config, rows: Collection[Row]) -> Config:
    if not rows:
        return config
    return config.model_copy(
        update={
            "exporters": (*config.exporters, *(row for row in rows if isinstance(row, ExporterRow))),
            "converters": (*config.converters, *(row for row in rows if isinstance(row, ConverterRow))),
        }
    )


def _pin(text: str) -> tuple[str, str]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"--with {text!r}: write package==version") from error
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or "*" in specifiers[0].version:
        raise UsageError(f"--with {text!r}: an exact version is needed: {requirement.name}==X.Y.Z")
    return canonicalize_name(requirement.name), specifiers[0].version
