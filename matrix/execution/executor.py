"""Whoever carries out jobs: on this machine, or on others."""

from __future__ import annotations

from typing import Protocol

from matrix.execution.jobs import Job
from matrix.packages.lock import Lock
from matrix.store.records import Observation


class Executor(Protocol):
    """Carries out jobs, as many at once as it has `capacity` for. What it is given (`Lock`, `Job`) and what it gives
    (`Observation`) is plain data."""

    capacity: int

    @property
    def cage(self) -> bool:
        """Whether what runs in its environments is kept from the rest of the machine."""
        ...

    def identify(self, lock: Lock) -> str:
        """Return the identity of the environment that it makes of a lock. Raises BuildFailed (unavailable)."""
        ...

    def expect(self, lock: Lock) -> None:
        """Take note that jobs will come for this lock's environment, which may be built meanwhile."""
        ...

    async def observe(self, lock: Lock, job: Job) -> Observation:
        """Carry out a job in the environment of a lock, when its turn comes. What goes wrong with the job, with its
        environment or with the machine is in the observation."""
        ...

    async def leave(self, lock: Lock) -> None:
        """Take note that no more jobs come for this lock's environment."""
        ...

    async def close(self) -> None:
        """End whatever is being done."""
        ...
