"""The executor of this machine: one lane for each environment, on an engine's workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matrix.core.processes import available_cores
from matrix.environments.engine import Engine
from matrix.execution.builds import Build, Builds
from matrix.execution.executor import Events
from matrix.execution.job_identity import Job
from matrix.execution.job_types import JOB_TYPES
from matrix.execution.lane import Lane
from matrix.execution.slots import Slots
from matrix.packages.lock import Lock
from matrix.store.blobs import BlobStore
from matrix.store.records import Observation
from matrix.table.model import Limits

# Converter environments built ahead where disk space is short: enough that no slot waits for a build.
_AHEAD = 2


@dataclass(eq=False)
class LocalExecutor:
    """Runs jobs on this machine. `work` is a folder for what workers see; `evict` removes an environment after its last
    job. `made` receives the builds of environments that did not exist before. `expecting` tells whether jobs other than exports
    may still come: workers are kept for those."""

    engine: Engine
    blobs: BlobStore
    limits: Limits
    capacity: int
    work: Path
    events: Events
    evict: bool = False
    made: list[Build] | None = None
    expecting: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self._slots = Slots(self.capacity)
        places = self.capacity + _AHEAD if self.evict else None
        self._builds = Builds(self.engine, max(1, self.capacity), self.events, places, self.made)
        self._lanes: dict[str, Lane] = {}

    @property
    def cage(self) -> bool:
        return self.engine.cage

    def identify(self, lock: Lock) -> str:
        return self.engine.identify(lock)

    def expect(self, lock: Lock) -> None:
        if lock.outcome == "resolved":
            self._builds.want(lock)

    async def observe(self, lock: Lock, job: Job) -> Observation:
        self._builds.want(lock)
        return await self._lane(lock, JOB_TYPES[job.kind].priority).observe(job)

    async def leave(self, lock: Lock) -> None:
        if self.evict:
            if lock.name in self._lanes:
                await self._lanes[lock.name].close()
            await self._builds.evict(lock)

    async def close(self) -> None:
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        await self._builds.close()

    def _lane(self, lock: Lock, priority: int) -> Lane:
        if lock.name not in self._lanes:
            self._lanes[lock.name] = Lane(
                lock,
                self.engine,
                self._builds,
                self._slots,
                priority,
                self.work / lock.name,
                self.blobs,
                self.limits,
                max(1, available_cores() // self.capacity),
                self.events,
                expecting=lambda: priority > 0 and self.expecting(),
            )
        return self._lanes[lock.name]
