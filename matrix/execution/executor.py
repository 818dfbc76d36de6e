"""What carries out jobs, on this machine or on others, and the events that are reported meanwhile."""

from __future__ import annotations

from typing import Protocol

from matrix.execution.job_identity import Job
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.store.records import Observation


class Executor(Protocol):
    """Carries out jobs, at most `capacity` at once. It takes (`Lock`, `Job`) and gives (`Observation`) plain data."""

    capacity: int

    @property
    def cage(self) -> bool:
        """Whether its environments isolate what runs in them from the rest of the machine."""
        ...

    def identify(self, lock: Lock) -> str:
        """Return the identity of the environment that it makes of a lock. Raises BuildFailed where it cannot make
        one."""
        ...

    def expect(self, lock: Lock) -> None:
        """Announce jobs for the environment of a lock, so that it can be built ahead of them."""
        ...

    async def observe(self, lock: Lock, job: Job) -> Observation:
        """Carry out a job in the environment of a lock. Failures of the job, of its environment and of the machine are
        in the observation."""
        ...

    async def leave(self, lock: Lock) -> None:
        """Announce that there are no more jobs for the environment of a lock."""
        ...

    async def close(self) -> None:
        """End all jobs that are running."""
        ...


class Events(Protocol):
    """What a run reports while it goes on."""

    def planned(self, cells: int) -> None: ...

    def building(self, environment: str) -> None: ...

    def built(self, environment: str, seconds: float, problem: str | None) -> None: ...

    def job_started(self, kind: str, environment: str) -> None: ...

    def job_ended(self, observation: Observation, cached: bool) -> None: ...

    def cell_decided(self, cell: Cell) -> None: ...
