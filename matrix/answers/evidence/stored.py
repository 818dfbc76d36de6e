"""Evidence of a store: a value for each run, kept beside the observations it was derived from."""

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
from matrix.answers.evidence.known import Evidence, Profile, ProfileKey
from matrix.answers.evidence.packed import fits, newest, pack
from matrix.core.gc import uncollected
from matrix.families import family_named
from matrix.judging.method import SIGNATURES, method
from matrix.table.exporters import expand, without_exporter
from matrix.table.ids import environment_name

if TYPE_CHECKING:
    from matrix.answers.operators import Coverage
    from matrix.app.runtime import RecordedRun, Runtime
    from matrix.judging.cells import Judge
    from matrix.packages.lock import Lock
    from matrix.store import CellRecord, Store
    from matrix.table.model import Config

_HERE = Path(__file__).parent

# So many of the newest cells tell how toolchains do; more would only take time. Of the model in question all count.
_ENOUGH = 5_000


@dataclass
class EvidenceSource:
    """Where evidence comes from: a store, and the table with its present locks. `judging` is a judge that is there
    already; where everything was derived before, none is needed."""

    store: Store
    config: Config
    locks: Mapping[str, Lock]
    judging: Judge | None = None

    @cached_property
    def judge(self) -> Judge:
        from matrix.judging.cells import Judge

        return self.judging or Judge(self.config, self.store)


def source_of(runtime: Runtime) -> EvidenceSource:
    """The source of evidence that an open runtime is."""
    return EvidenceSource(runtime.store, runtime.project.config, runtime.project.locks, runtime.judge)


@contextlib.contextmanager
def recorded(
    runtime: Runtime, tier: str, planned: int | None, part: Mapping[str, str | int] | None = None
) -> Iterator[RecordedRun]:
    """`Runtime.recorded`, with the evidence of the run derived at its end, so that nobody has to wait for it."""
    underway = None
    try:
        with runtime.recorded(tier, planned, part) as underway:
            yield underway
    finally:
        if underway is not None and underway.status != "failed":
            keep(source_of(runtime), underway.number)


def keep(source: EvidenceSource, run: int) -> None:
    """Derive the evidence of a run that is over, so that nobody has to wait for it."""
    source.store.keep_derived({_key(source.config, run): _derived(source, run)})


def read(
    source: EvidenceSource,
    shipped: Mapping[str, Any] | None = None,
    coverage: Mapping[str, Coverage] | None = None,
    model: str | None = None,
) -> Evidence:
    """All evidence that still holds: cells measured with the present locks, each as the newest run found it. `shipped`
    fills in cells that the store has no finding of. Of `model` all cells are read, of others enough. What a run has no
    derived value of yet is computed, and kept once the run is over.

    Rows that have no lock now (made on the spot, gone from the table) hold too: nothing says that they changed.
    """
    runs = source.store.runs()
    keys = {run.id: _key(source.config, run.id) for run in runs}
    present = _present(source.config, source.locks)
    # A hundred thousand objects that stay are no business of the garbage collector's.
    with uncollected():
        stored = source.store.derived(keys.values())
        values = []
        for run in runs:
            value = stored.get(keys[run.id])
            if value is None:
                value = _derived(source, run.id)
                if run.status != "running":
                    source.store.keep_derived({keys[run.id]: value})
            values.append(_outdated_removed(value, present))
        if shipped is not None and fits(shipped):
            values.append(_outdated_removed(shipped, present))
        entries, profiles = newest(values, _ENOUGH, model)
    return Evidence(tuple(entries), profiles, coverage or {})


def _derived(source: EvidenceSource, run: int) -> dict[str, Any]:
    # Of another time than its own, a row says nothing about what its lock installs.
    records = [record for record in source.store.cells(run) if record.cell_id.moved is None]
    entries, profiles = derive(source.judge.cells(records, source.locks, run), run)
    return pack(entries, {**_read(source.store, records), **profiles})


def profiles_read(store: Store, run: int) -> dict[ProfileKey, Profile]:
    """What a run read of models without converting them."""
    return _read(store, store.cells(run))


def _read(store: Store, records: Iterable[CellRecord]) -> dict[ProfileKey, Profile]:
    # They are kept like what a search did: they decide no cell.
    only = [record for record in records if record.converter == ""]
    exports = store.observations(record.export for record in only)
    found = (profile_of(record, exports[record.export]) for record in only)
    return {profile.key: profile for profile in found if profile is not None}


def _outdated_removed(value: Mapping[str, Any], present: Mapping[str, frozenset[str]]) -> Mapping[str, Any]:
    """Without the cells that were measured with another lock than their row has now."""
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
    """By converter row and exporter: the identities of its locks, of which an exporter row has one for each build."""
    rows: dict[str, tuple[str, ...]] = {row.id: (row.id,) for row in config.converters}
    builds = {
        row.id: (row.id, *(environment_name(row.id, row.builds, build) for build in row.builds))
        for row in config.exporters
    }
    for exporter in (*expand(config), *without_exporter(config)):
        rows[exporter.id] = builds.get(exporter.row, (exporter.row,))
    return {
        name: frozenset(identity_of(locks[environment]) for environment in environments if environment in locks)
        for name, environments in rows.items()
    }


def _key(config: Config, run: int) -> str:
    tolerances = [config.model_dump(mode="json", include={"tolerances"})]
    # Only models that state some: a model named on the spot must not make all that was derived a stranger.
    stating = [model for model in config.models if model.tolerances]
    tolerances += [model.model_dump(mode="json", include={"id", "tolerances"}) for model in stating]
    # What families from outside declare is no file of ours.
    schemes = [asdict(family_named(name).scheme) for name in sorted({row.family for row in config.converters})]
    parts = json.dumps(
        ["evidence", method(SIGNATURES, Path(families.__file__).parent, _HERE), tolerances, schemes, run],
        sort_keys=True,
    )
    return hashlib.sha256(parts.encode()).hexdigest()
