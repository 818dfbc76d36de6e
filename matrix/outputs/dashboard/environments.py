"""The environments that cells were measured in: what was installed, and the lock it was installed from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from matrix.answers.evidence.derive import identity_of, lock_identity
from matrix.environments.docker.names import environment_image
from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.shards import SCHEMA, Shards
from matrix.outputs.privacy import SiteCleaner
from matrix.packages.lock import Lock
from matrix.store import Observation, RunRecord, Store
from matrix.table.ids import EnvironmentName


class Environments:
    """Writes a shard for every environment when it first comes up."""

    def __init__(
        self,
        store: Store,
        locks: Mapping[str, Lock],
        runs: Mapping[int, RunRecord],
        cleaner: SiteCleaner,
        shards: Shards,
    ) -> None:
        self._locks = locks
        self._runs = runs
        self._cleaner = cleaner
        self._shards = shards
        self._known: dict[tuple[str, ...], tuple[str, bool]] = {}
        # Of a run these are hundreds of locks, and observations of a run come together.
        self._resolved = lru_cache(maxsize=8)(store.resolutions.of_run)

    def take(self, observation: Observation) -> tuple[str, bool]:
        """Name of the shard, and whether the lock is known and can be installed."""
        key: tuple[str, ...] = observation.environment, observation.environment_id, observation.role, observation.python
        if not observation.environment_id:
            # Never built: what it would have been is told by its run.
            key = (*key, str(observation.run))
        if key not in self._known:
            self._known[key] = self._write(observation, key)
        return self._known[key]

    def installable(self, result: CellResult) -> str:
        """The Python, such as 3.9, of what a cell converts in, or of its moved environment, where that can be installed
        from its lock; else ''."""
        part = result.export if result.record.cell_id.moved == "exporter" else result.convert
        if part is None or not self.take(part)[1]:
            return ""
        return ".".join(part.python.split(".")[:2])

    def _write(self, observation: Observation, key: tuple[str, ...]) -> tuple[str, bool]:
        name = f"environments/{hashlib.sha256(chr(10).join(key).encode(errors='replace')).hexdigest()[:16]}"
        run = self._runs.get(observation.run or 0)
        lock = self._lock(observation)
        engine = run.engine if run else None
        built = bool(observation.environment_id)
        self._shards.write(
            name,
            self._cleaner.data(
                {
                    "schema": SCHEMA,
                    "name": observation.environment,
                    "role": observation.role,
                    "python": observation.python or (lock.python if lock else ""),
                    "engine": engine,
                    "id": observation.environment_id,
                    "image": environment_image(observation.environment_id) if built and engine == "docker" else None,
                    "installed": dict(sorted(observation.installed.items())),
                    "lock": lock.text() if lock else None,
                    "as_of": lock.as_of.isoformat() if lock else None,
                }
            ),
        )
        return name, lock is not None and lock.outcome == "resolved"

    def _lock(self, observation: Observation) -> Lock | None:
        """The one that it was installed from: a row may have been locked anew since."""
        name = observation.environment
        lock = self._locks.get(name)
        if EnvironmentName.parse(name).row.time or lock is None:
            lock = self._resolved(observation.run).get(name, lock) if observation.run is not None else lock
        if lock is None or not observation.installed:
            return lock
        return lock if lock_identity(observation.python, observation.installed) == identity_of(lock) else None
