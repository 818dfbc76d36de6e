"""Open a project: the table, the selection, the locks, and the plan they give."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from matrix.table.check import rows_with_places
from matrix.table.exporters import expand, without_exporter
from matrix.table.ids import RowId, environment_name
from matrix.table.model import ConverterRow, ExporterRow, ModelSpec, Row
from matrix.table.source import read_source

if TYPE_CHECKING:
    from matrix.store import CellRecord

# A fresh lock may change the plan, because its date decides which exporters are of its time: plan again, this often.
_ROUNDS = 5


@dataclass
class ProjectAdditions:
    """The rows and locks that a command adds to its project while it runs.

    `candidates` are rows for any cell, `searched` are rows made for single cells, such as those with a remedy's
    packages. `locks` are all locks in use, or None before they are first read.
    """

    candidates: dict[str, Row] = field(default_factory=dict)
    searched: dict[str, Row] = field(default_factory=dict)
    locks: dict[str, Lock] | None = None


@dataclass(frozen=True)
class Project:
    """A table and what is selected of it; only `added` changes while a command runs.

    `only` and `with_` are the texts of the options; `given` are models that are not in the table. `torch_build` is
    auto, index, or the name of a build; `engine_name` is auto, docker or venv; `base` chooses Docker's base images.
    """

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
    added: ProjectAdditions = field(default_factory=ProjectAdditions, repr=False)

    def selecting(self, **changes: Any) -> Project:
        """Return the project with other fields, without reading the table again."""
        other = replace(self, **changes)
        vars(other)["stated"] = self.stated
        return other

    # The table: `stated` < `_asked` < `offered` < `config`, each with more rows than the one before.

    @cached_property
    def stated(self) -> Config:
        """The table as written. Raises ConfigError."""
        return load_config(self.table, known_reasons(), KNOWN)

    @cached_property
    def _asked(self) -> tuple[Config, tuple[str, ...]]:
        """The table with the models and the rows of the command line, and the ids of these rows."""
        config = self.stated.model_copy(update={"models": (*self.stated.models, *self.given)})
        return with_pins(config, dict(map(_pin, self.with_))) if self.with_ else (config, ())

    @property
    def offered(self) -> Config:
        """The table with all rows that may be used for any cell."""
        return _with_rows(self._asked[0], self.added.candidates.values())

    @property
    def config(self) -> Config:
        """The table with all rows, those made for single cells included."""
        return _with_rows(self.offered, self.added.searched.values())

    @cached_property
    def _names(self) -> frozenset[str]:
        exporters = {exporter.id for exporter in (*expand(self.stated), *without_exporter(self.stated))}
        return frozenset(exporters | {row.id for row in self.stated.converters})

    def has_row(self, name: str) -> bool:
        """Return whether the table has a row or an exporter of this name, at any time."""
        return RowId.parse(name).stem in self._names

    # The selection and its plan.

    @property
    def _named_models(self) -> tuple[str, ...]:
        return *self.models, *(model.id for model in self.given)

    @cached_property
    def selection(self) -> Selection:
        """The selection of the command line. Raises UsageError for an `--only` that cannot be read."""
        try:
            conditions = [selectors.from_text(text) for text in self.only]
        except ValueError as error:
            raise UsageError(f"--only: {error}") from error
        conditions += [selectors.Condition("model", (name,)) for name in self._named_models]
        config, added = self._asked
        converters = tuple(row.id for row in config.converters if row.id in added)
        # An exporter row may be several exporters: its id is their common beginning.
        exporters = tuple(f"{row.id}*" for row in config.exporters if row.id in added)
        conditions += [
            selectors.Condition(kind, names)
            for kind, names in (("converter", converters), ("exporter", exporters))
            if names
        ]
        # Only tiers that span the whole table have combinations that are not in it.
        tier = self.tier or ("full" if exporters else "each" if added else config.default_tier)
        return Selection(tier, tuple(conditions))

    @cached_property
    def build(self) -> str | None:
        """The build of exporters that have several: the one whose wheels --find-links holds.

        Raises UsageError for a `torch_build` that no exporter has.
        """
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
        """Return the plan of the selection. Raises UsageError and NothingSelected."""
        # Models that are named one by one belong to every tier.
        return make_plan(self.config, self.locks, self.selection, self.build, frozenset(self._named_models))

    def locked_plan(self, tell: Callable[[str], None], allowed: bool = True) -> Plan:
        """Return the plan with a current lock for every environment it needs.

        Raises UsageError and NothingSelected as `plan` does; LockStale, Indeterminate, ConfigError as `refresh` does.
        """
        for _ in range(_ROUNDS):
            plan = self.plan()
            if not self.ensure_locks(self.environments(plan), tell, allowed):
                return plan
        return self.plan()

    def further(self, plan: Plan, cells: tuple[Cell, ...], tell: Callable[[str], None], allowed: bool = True) -> Plan:
        """Return a plan of the cells a search asks for after `plan`, with a current lock for every row.

        If no lock may be made, cells that need a new one are left out. Raises Indeterminate and ConfigError.
        """
        self.take_in(cells)
        builds = {row.id: self._environment(row) for row in self.config.exporters}
        part = replace(plan, cells=cells, notes=(), builds=builds)
        if allowed:
            self.ensure_locks(self.environments(part), tell)
            return part
        missing = {request.name for request in stale(self.requests(self.environments(part)), self.locks)}
        if not missing:
            return part
        tell(f"not tried, because it needs a new lock (--locked): {', '.join(sorted(missing))}")
        kept = (cell for cell in cells if missing.isdisjoint(self.environments(replace(part, cells=(cell,)))))
        return replace(part, cells=tuple(kept))

    def cells_of_now(self, plan: Plan, as_of: dt.date) -> tuple[Cell, ...]:
        """Return the plan's cells with one environment each resolved as of a day."""
        return cells_of_now(plan.cells, {row.id: row for row in self.config.exporters}, self.lock_of, as_of)

    # Environments.

    def _environment(self, row: Row) -> str:
        """Return the name of the environment used of a row, which may be that of a build."""
        return environment_name(row.id, row.builds if isinstance(row, ExporterRow) else (), self.build)

    def environments(self, plan: Plan) -> tuple[str, ...]:
        return plan.environments(self.config.reference.id)

    def exporter_environment(self, cell: Cell) -> str:
        """Return the name of the environment that exports for a cell."""
        row = next((row for row in self.config.exporters if row.id == cell.exporter.row), None)
        return self._environment(row) if row else cell.exporter.row

    def environments_of(self, record: CellRecord) -> tuple[str, str]:
        """Return the names of the environments that a stored cell exports and converts in.

        Its observations may name others: environments of the same content share what was measured.
        """
        named = RowId.parse(record.exporter)
        row = next((item.row for item in expand(self.config) if item.id == named.stem), None)
        found = next((item for item in self.config.exporters if item.id == row), None)
        if found is None:
            return self.config.reference.id, record.converter
        moved = found.model_copy(update={"id": str(RowId(found.id, named.time))})
        return self._environment(moved), record.converter

    # Locks.

    @cached_property
    def folders(self) -> LockFolders:
        return LockFolders(self.table.parent / "envs", self.state.locks, exclusive(self._families))

    @property
    def locks(self) -> dict[str, Lock]:
        """All locks by environment. Raises ConfigError for a damaged one."""
        if self.added.locks is None:
            self.added.locks = self.folders.read()
        return self.added.locks

    def read_locks(self) -> dict[str, str]:
        """Read the locks again, without the damaged ones; return those, name to problem."""
        damaged: dict[str, str] = {}
        self.added.locks = self.folders.read(damaged)
        return damaged

    def lock_of(self, row: Row) -> Lock | None:
        """Return the lock that is used of a row."""
        return self.locks.get(self._environment(row))

    def request(self, row: Row) -> Request:
        """Return the lock request of a row, in the table or not, of the build that is used of it."""
        build = self.build if isinstance(row, ExporterRow) and self.build in row.builds else None
        return make_request(self.config, row, build)

    def requests(self, names: Iterable[str]) -> list[Request]:
        """Return the lock requests of environments by name. Raises UsageError for a name the table does not have."""
        known = _environments(self.config)
        wanted = list(names)
        if unknown := [name for name in wanted if name not in known]:
            raise UsageError(f"no row {', '.join(unknown)}; the table has: {', '.join(known)}")
        return [make_request(self.config, *known[name]) for name in wanted]

    def ensure_locks(self, names: Iterable[str], tell: Callable[[str], None], allowed: bool = True) -> list[Lock]:
        """Resolve the locks of environments that are missing or stale; return the new ones.

        Raises UsageError for an unknown name; LockStale, Indeterminate and ConfigError as `refresh` does.
        """
        return self.refresh(stale(self.requests(names), self.locks), tell, allowed)

    def refresh(self, requests: list[Request], tell: Callable[[str], None], allowed: bool = True) -> list[Lock]:
        """Resolve these requests and write their locks.

        Raises LockStale if resolving is not `allowed`, Indeterminate if the index does not answer, and
        ConfigError for a pin that was never released, with its place in the table.
        """
        if not requests:
            return []
        variants = frozenset(_environments(self.config).keys() - _environments(self.stated).keys())
        try:
            made = refresh(requests, self.folders, variants, self.settings, tell, allowed)
        except ImpossiblePin as error:
            raise ConfigError(f"{self._place(error.row, error.package)}{error}") from error
        self.use(made)
        return made

    def _place(self, name: str, package: str) -> str:
        """Return `file:line:column: ` of a row's pin, '' for a row that is not in the table."""
        found = _environments(self.stated).get(name)
        places = (place for place, row in rows_with_places(self.stated) if found and row is found[0])
        return next((f"{read_source(self.table).where((*place, 'pins', package))}: " for place in places), "")

    # ProjectAdditions.

    def use(self, locks: Iterable[Lock]) -> None:
        """Use these locks, which may be in no file."""
        self.added.locks = {**self.locks, **{lock.name: lock for lock in locks}}

    def adopt(self, rows: Sequence[Row], tell: Callable[[str], None], allowed: bool = True) -> dict[str, str]:
        """Add candidate rows, each with a lock; return row to why no packages fulfil it, or ''.

        Raises LockStale, Indeterminate and ConfigError as `refresh` does.
        """
        self.added.candidates |= {row.id: row for row in rows}
        names = {row.id: self._environment(row) for row in rows}
        self.ensure_locks(names.values(), tell, allowed)
        return {row: self.locks[name].explanation for row, name in names.items()}

    def take_in(self, cells: Iterable[Cell]) -> list[Request]:
        """Add the rows that were made for these cells; return the requests of those that are of another time."""
        known = {row.id for row in (*self.config.exporters, *self.config.converters)}
        rows = (row for cell in cells for row in (cell.converter, cell.exporter_row) if row is not None)
        new = {row.id: row for row in rows if row.id not in known}
        self.added.searched |= new
        return self.requests(self._environment(row) for row in new.values() if RowId.parse(row.id).time)

    # Engines, and the code that environments run.

    @cached_property
    def _families(self) -> tuple[Family, ...]:
        return in_order(row.family for row in self.stated.converters)

    @cached_property
    def code(self) -> Path:
        """The folder of the code that runs inside environments."""
        return converter_folder(CONVERTER, self._families, self.state.code)

    def engine(self) -> tuple[Engine, str]:
        """Return the engine of this project, and a sentence that says which and why. Raises EngineUnavailable."""
        reference = self.locks.get(self.config.reference.id)
        return self._choose(self.engine_name, reference.python if reference else None)

    def engines(self) -> list[Engine]:
        """Return every engine that may hold environments of this project: with `auto` all that work here.

        Raises EngineUnavailable for one that was asked for by name.
        """
        if self.engine_name != "auto":
            return [self._choose(self.engine_name)[0]]
        found = []
        for name in ("venv", "docker"):
            with contextlib.suppress(EngineUnavailable):
                found.append(self._choose(name)[0])
        return found

    def _choose(self, name: str, probe: str | None = None) -> tuple[Engine, str]:
        return choose(name, self.state, self.settings, self.base, self.folders.committed, probe, self.code)


def _environments(config: Config) -> dict[str, tuple[Row, str | None]]:
    """Return all environments of a table by name, each with its row and the build of it."""
    rows: tuple[Row, ...] = (*config.converters, config.reference, *config.exporters)
    builds = {
        environment_name(row.id, row.builds, build): (row, build) for row in config.exporters for build in row.builds
    }
    return {**{row.id: (row, None) for row in rows}, **builds}


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
    """Read a `package==version`. Raises UsageError."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"--with {text!r}: write package==version") from error
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or "*" in specifiers[0].version:
        raise UsageError(f"--with {text!r}: an exact version is needed: {requirement.name}==X.Y.Z")
    return canonicalize_name(requirement.name), specifiers[0].version
