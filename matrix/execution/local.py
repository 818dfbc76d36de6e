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
from matrix.execution.lane import Lane
from matrix.execution.slots import Priority, Slots
from matrix.packages.lock import Lock
from matrix.store.blobs import BlobStore
from matrix.store.records import Observation
from matrix.table.model import Limits, Role

_ORDER: tuple[Role, ...] = ("exporter", "reference", "converter")

# Converter environments built ahead where disk space is short: enough that no slot waits for a build.
_AHEAD = 2


@dataclass(eq=False)
class LocalExecutor:
    """Runs jobs on this machine. `work` is a folder for what workers see; `evict` removes an environment after its last
    job. `made` receives the builds of environments that did not exist before. `expecting` tells whether more jobs may
    come: workers are kept for those. `busy` tells for how many seconds an environment will be: where few can
    be built or used at once, the longest goes first."""

    engine: Engine
    blobs: BlobStore
    limits: Limits
    capacity: int
    work: Path
    events: Events
    evict: bool = False
    made: list[Build] | None = None
    expecting: Callable[[], bool] = lambda: False
    busy: Callable[[str], float] = lambda _: 0.0

    def __post_init__(self) -> None:
        self._slots = Slots(self.capacity)
        places = self.capacity + _AHEAD if self.evict else None
        self._builds = Builds(self.engine, max(1, self.capacity), self.events, places, self.made, self._priority)
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
        return await self._lane(lock).observe(job)

    async def leave(self, lock: Lock) -> None:
        if self.evict:
            if lock.name in self._lanes:
                await self._lanes[lock.name].close()
            await self._builds.evict(lock)

    async def close(self) -> None:
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        await self._builds.close()

    def _priority(self, lock: Lock) -> Priority:
        """Exports feed everything else, and jobs of the reference are short."""
        return _ORDER.index(lock.role), -self.busy(lock.name)

    def _lane(self, lock: Lock) -> Lane:
        if lock.name not in self._lanes:
            self._lanes[lock.name] = Lane(
                lock,
                self.engine,
                self._builds,
                self._slots,
                self._priority(lock),
                self.work / lock.name,
                self.blobs,
                self.limits,
                available_cores(),
                self.events,
                self.expecting,
            )
        return self._lanes[lock.name]
