"""Environments built once each, a few at a time, while other jobs run."""

from __future__ import annotations

import asyncio
import time

from matrix.environments.engine import BuildFailed, Engine, Environment
from matrix.execution.events import Events
from matrix.locks.lockfile import Lock


class Builds:
    """Builds in the order they are wanted, `limit` at once."""

    def __init__(self, engine: Engine, limit: int, events: Events) -> None:
        self._engine = engine
        self._limit = asyncio.Semaphore(limit)
        self._events = events
        self._tasks: dict[str, asyncio.Task[Environment]] = {}

    def want(self, lock: Lock) -> asyncio.Task[Environment]:
        """Start building, if nobody has yet. Two rows with the same lock are one environment."""
        if lock.digest not in self._tasks:
            task = asyncio.create_task(self._build(lock))
            # A build started ahead of need may fail without anybody asking for it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._tasks[lock.digest] = task
        return self._tasks[lock.digest]

    async def get(self, lock: Lock) -> Environment:
        """The built environment. Raises BuildFailed."""
        return await asyncio.shield(self.want(lock))

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _build(self, lock: Lock) -> Environment:
        async with self._limit:
            started = time.monotonic()
            self._events.building(lock.name)
            problem: str | None = "interrupted"
            try:
                environment = await self._engine.prepare(lock)
                problem = None
                return environment
            except BuildFailed as failure:
                problem = failure.reason
                raise
            finally:
                self._events.built(lock.name, time.monotonic() - started, problem)
