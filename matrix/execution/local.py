"""The executor of this machine: a lane for each environment, on an engine's workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from matrix.environments.engine import Engine, Environment
from matrix.execution.builds import Builds
from matrix.execution.executor import Events
from matrix.execution.job_types import JOB_TYPES
from matrix.execution.jobs import Job
from matrix.execution.lane import Lane
from matrix.execution.slots import Slots
from matrix.packages.lock import Lock
from matrix.store.blobs import BlobStore
from matrix.store.records import Observation
from matrix.table.model import Limits

# Converter environments built ahead of their turn where disk is short: enough that no slot waits for a build.
_AHEAD = 2


class LocalExecutor:
    """`work` is a folder for what workers see; `evict` removes an environment as soon as no job comes for it any more.
    `made` receives the environments that were not there before. `expecting` says whether jobs may still come that are
    not exports: workers are kept for those."""

    def __init__(
        self,
        engine: Engine,
        blobs: BlobStore,
        limits: Limits,
        capacity: int,
        work: Path,
        events: Events,
        evict: bool = False,
        made: list[Environment] | None = None,
        expecting: Callable[[], bool] = lambda: False,
    ) -> None:
        self.capacity = capacity
        self._engine = engine
        self._blobs = blobs
        self._limits = limits
        self._work = work
        self._events = events
        self._evict = evict
        self._expecting = expecting
        self._slots = Slots(capacity)
        self._builds = Builds(engine, max(1, capacity), events, capacity + _AHEAD if evict else None, made)
        self._lanes: dict[str, Lane] = {}

    @property
    def cage(self) -> bool:
        return self._engine.cage

    def identify(self, lock: Lock) -> str:
        return self._engine.identify(lock)

    def expect(self, lock: Lock) -> None:
        if lock.outcome == "resolved":
            self._builds.want(lock)

    async def observe(self, lock: Lock, job: Job) -> Observation:
        self._builds.want(lock)
        return await self._lane(lock, JOB_TYPES[job.kind].priority).observe(job)

    async def leave(self, lock: Lock) -> None:
        if self._evict:
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
                self._engine,
                self._builds,
                self._slots,
                priority,
                self._work / lock.name,
                self._blobs,
                self._limits,
                self._events,
                expecting=lambda: priority > 0 and self._expecting(),
            )
        return self._lanes[lock.name]
