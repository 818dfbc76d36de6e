"""Evidence of a store: derived once for each run, and kept beside the observations it was derived from."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix import families
from matrix.answers.evidence.derive import derive, identity_of, profile_of
from matrix.answers.evidence.packed import fits, newest, pack
from matrix.answers.evidence.records import Evidence, Profile, ProfileKey
from matrix.answers.evidence.shipped import folder, read_cells, read_coverage
from matrix.answers.operators import Coverage
from matrix.core.gc import uncollected
from matrix.families import family_named
from matrix.judging.method import SIGNATURES, method
from matrix.table.exporters import expand, without_exporter
from matrix.table.ids import environment_name

if TYPE_CHECKING:
    from matrix.app.project import Project
    from matrix.app.runtime import RecordedRun, Runtime
    from matrix.judging.cells import Judge
    from matrix.packages.lock import Lock
    from matrix.store import CellRecord, Store
    from matrix.table.model import Config

_HERE = Path(__file__).parent

# So many of the newest cells show how toolchains perform; more only take time. Of the model in question all are read.
_ENOUGH = 5_000


@dataclass
class EvidenceSource:
    """A store, and the table with its present locks. `judging` is a judge that exists already; none is needed if all
    evidence was derived before."""

    store: Store
    config: Config
    locks: Mapping[str, Lock]
    judging: Judge | None = None

    @cached_property
    def judge(self) -> Judge:
        from matrix.judging.cells import Judge

        return self.judging or Judge(self.config, self.store)


def source_of(runtime: Runtime) -> EvidenceSource:
    """Return the source of evidence that an open runtime is."""
    return EvidenceSource(runtime.store, runtime.project.config, runtime.project.locks, runtime.judge)


def look_up(project: Project, url: str | None, model: str | None = None) -> Evidence:
    """Open the project's store, at `url` or in its state folder, and gather its evidence."""
    store = project.state.open_store(url)
    try:
        return gather(project, EvidenceSource(store, project.config, project.locks), model)
    finally:
        store.close()


def gather(project: Project, source: EvidenceSource, model: str | None = None) -> Evidence:
    """Return cells and operator coverage from the store, completed by what was shipped with the table. All cells of
    `model` are read."""
    place, own = folder(project.table), _stored_coverage(source)
    return read(source, read_cells(place), {**read_coverage(place, but=own), **own}, model)


def _stored_coverage(source: EvidenceSource) -> dict[str, Coverage]:
    """Return the coverage of converters whose locks have not changed since."""
    rows = {row.id for row in source.config.converters} & source.locks.keys()
    current = {
        row: observation
        for row, observation in source.store.newest("coverage").items()
        if row in rows and observation.installed == source.locks[row].packages
    }
    if not current:
        return {}
    from matrix.answers.operators.stored import Coverages

    judged = Coverages(source.config, source.store).of(current)
    return {row: found for row, found in judged.items() if isinstance(found, Coverage)}


@contextlib.contextmanager
def recorded(
    runtime: Runtime, tier: str, planned: int | None, part: Mapping[str, str | int] | None = None
) -> Iterator[RecordedRun]:
    """Record a run as `Runtime.recorded` does, and derive its evidence at the end, so that later commands are quick."""
    underway = None
    try:
        with runtime.recorded(tier, planned, part) as underway:
            yield underway
    finally:
        if underway is not None and underway.status != "failed":
            keep(source_of(runtime), underway.number)


def keep(source: EvidenceSource, run: int) -> None:
    """Derive the evidence of a finished run and keep it in the store."""
    source.store.keep_derived({_key(source.config, run): _derived(source, run)})


def read(
    source: EvidenceSource,
    shipped: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Coverage] | None = None,
    model: str | None = None,
) -> Evidence:
    """Return all evidence that is still valid: cells measured with the present locks, each from the newest run with a
    finding. `shipped` fills in cells that the store has no finding of. All cells of `model` are read, of others enough.
    If nothing was derived of a run yet, derive it now, and keep it once the run is over.

    Rows without a lock (made on the spot, gone from the table) are valid: nothing shows that they changed.
    """
    runs = source.store.runs()
    keys = {run.id: _key(source.config, run.id) for run in runs}
    present = _present(source.config, source.locks)
    # Many thousand objects are created and stay: collecting garbage meanwhile would only take time.
    with uncollected():
        stored = source.store.derived(keys.values())
        values: list[Mapping[str, Any]] = []
        for run in runs:
            if (value := stored.get(keys[run.id])) is None:
                value = _derived(source, run.id)
                if run.status != "running":
                    source.store.keep_derived({keys[run.id]: value})
            values.append(value)
        if shipped is not None and fits(shipped):
            values.append(shipped)
        entries, profiles = newest((_without_outdated(value, present) for value in values), _ENOUGH, model)
    return Evidence(tuple(entries), profiles, coverage or {})


def _derived(source: EvidenceSource, run: int) -> dict[str, Any]:
    # A row as of another time than its own does not show what its lock installs.
    records = [record for record in source.store.cells(run) if record.cell_id.moved is None]
    entries, profiles = derive(source.judge.cells(records, source.locks, run), run)
    return pack(entries, {**profiles_read(source.store, records), **profiles})


def profiles_read(store: Store, records: Iterable[CellRecord]) -> dict[ProfileKey, Profile]:
    """Return the profiles of models that were exported without converting them: their records have no converter."""
    only = [record for record in records if record.converter == ""]
    exports = store.observations(record.export for record in only)
    found = (profile_of(record, exports[record.export]) for record in only)
    return {profile.key: profile for profile in found if profile is not None}


def _without_outdated(value: Mapping[str, Any], present: Mapping[str, frozenset[str]]) -> Mapping[str, Any]:
    """Drop the cells that were measured with another lock than their row has now."""
    columns, shared = value["columns"], value["shared"]
    outdated: set[int] = set()
    for row, lock in (("converter", "converter_lock"), ("exporter", "exporter_lock")):
        pairs = list(zip(columns[row], columns[lock], strict=True))
        wrong = {pair for pair in set(pairs) if not _holds(shared[row][pair[0]], shared[lock][pair[1]], present)}
        if wrong:
            outdated.update(index for index, pair in enumerate(pairs) if pair in wrong)
    if not outdated:
        return value
    kept = {name: [v for i, v in enumerate(column) if i not in outdated] for name, column in columns.items()}
    return {**value, "columns": kept}


def _holds(name: str, lock: str, present: Mapping[str, frozenset[str]]) -> bool:
    return not lock or not present.get(name) or lock in present[name]


def _present(config: Config, locks: Mapping[str, Lock]) -> dict[str, frozenset[str]]:
    """Return the lock identities of each converter row and exporter. An exporter row has a lock for each build."""
    environments: dict[str, tuple[str, ...]] = {row.id: (row.id,) for row in config.converters}
    builds = {
        row.id: (row.id, *(environment_name(row.id, row.builds, build) for build in row.builds))
        for row in config.exporters
    }
    for exporter in (*expand(config), *without_exporter(config)):
        environments[exporter.id] = builds.get(exporter.row, (exporter.row,))
    return {
        name: frozenset(identity_of(locks[environment]) for environment in names if environment in locks)
        for name, names in environments.items()
    }


def _key(config: Config, run: int) -> str:
    tolerances = [config.model_dump(mode="json", include={"tolerances"})]
    # Only models that state some: a model named on the spot must not invalidate all that was derived.
    stating = [model for model in config.models if model.tolerances]
    tolerances += [model.model_dump(mode="json", include={"id", "tolerances"}) for model in stating]
    # The code of families from outside is not hashed, so their scheme is.
    schemes = [asdict(family_named(name).scheme) for name in sorted({row.family for row in config.converters})]
    parts = json.dumps(
        ["evidence", method(SIGNATURES, Path(families.__file__).parent, _HERE), tolerances, schemes, run],
        sort_keys=True,
    )
    return hashlib.sha256(parts.encode()).hexdigest()
