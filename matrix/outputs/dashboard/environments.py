"""The environments that cells were measured in: the packages installed and the lock they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache

from matrix.answers.evidence.derive import identity_of, lock_identity
from matrix.environments.docker.names import environment_image
from matrix.judging.cells import CellResult
from matrix.outputs.dashboard.schema import SCHEMA, EnvironmentShape
from matrix.outputs.dashboard.shards import Shards
from matrix.outputs.privacy import SiteCleaner
from matrix.packages.lock import Lock
from matrix.packages.versions import minor
from matrix.store import Observation, RunRecord, Store
from matrix.table.ids import EnvironmentName


class Environments:
    """Writes a shard for every environment when it is first met."""

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
        # A run has hundreds of locks, and its observations are taken together.
        self._resolved = lru_cache(maxsize=8)(store.resolutions.of_run)

    def take(self, observation: Observation) -> tuple[str, bool]:
        """Return the name of the shard, and whether the lock is known and can be installed."""
        key: tuple[str, ...] = observation.environment, observation.environment_id, observation.role, observation.python
        if not observation.environment_id:
            # It was never built: only its run says what it was to be.
            key = (*key, str(observation.run))
        if key not in self._known:
            self._known[key] = self._write(observation, key)
        return self._known[key]

    def installable(self, result: CellResult) -> str:
        """Return the Python, such as 3.9, of a cell's converter, or of its moved environment; '' if that cannot be
        installed from its lock."""
        part = result.export if result.record.cell_id.moved == "exporter" else result.convert
        if part is None or not self.take(part)[1]:
            return ""
        return minor(part.python)

    def _write(self, observation: Observation, key: tuple[str, ...]) -> tuple[str, bool]:
        name = f"environments/{hashlib.sha256(chr(10).join(key).encode(errors='replace')).hexdigest()[:16]}"
        run = self._runs.get(observation.run or 0)
        lock = self._lock(observation)
        engine = run.engine if run else None
        built = bool(observation.environment_id)
        shard: EnvironmentShape = {
            "schema": SCHEMA,
            "name": observation.environment,
            "role": observation.role,
            "python": observation.python or (lock.python if lock else ""),
            "engine": engine,
            "id": observation.environment_id,
            "image": environment_image(observation.environment_id) if built and engine == "docker" else None,
            "installed": observation.installed,
            "lock": lock.text() if lock else None,
            "as_of": lock.as_of.isoformat() if lock else None,
        }
        self._shards.write(name, self._cleaner.data(shard))
        return name, lock is not None and lock.outcome == "resolved"

    def _lock(self, observation: Observation) -> Lock | None:
        """Return the lock that it was installed from: a row may have been locked again since."""
        name = observation.environment
        lock = self._locks.get(name)
        if EnvironmentName.parse(name).row.time or lock is None:
            lock = self._resolved(observation.run).get(name, lock) if observation.run is not None else lock
        if lock is None or not observation.installed:
            return lock
        return lock if lock_identity(observation.python, observation.installed) == identity_of(lock) else None
