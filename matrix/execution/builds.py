"""Environments built once each, a few at a time, while other jobs run."""

from __future__ import annotations

import asyncio
import time

from matrix.environments.engine import BuildFailed, Engine, Environment
from matrix.execution.executor import Events
from matrix.packages.lock import Lock


class Builds:
    """Builds in the order they are wanted, `limit` at once.

    `made` receives the environments that were not there before.

    With `places`, no more than that many converter environments are there at once: the next one waits until one was
    evicted. Exporters and the reference take no place: converters wait for what they make, never the other way round.
    """

    def __init__(
        self,
        engine: Engine,
        limit: int,
        events: Events,
        places: int | None = None,
        made: list[Environment] | None = None,
    ) -> None:
        self._engine = engine
        self._made = [] if made is None else made
        self._limit = asyncio.Semaphore(limit)
        self._events = events
        self._places = asyncio.Semaphore(places) if places else None
        self._placed: set[str] = set()
        self._unwanted: set[str] = set()
        self._begun: set[str] = set()
        self._first: dict[str, asyncio.Task[Environment]] = {}
        self._tasks: dict[str, asyncio.Task[Environment]] = {}

    def want(self, lock: Lock) -> asyncio.Task[Environment]:
        """Start building, if nobody has yet. Two rows with the same lock are one environment."""
        if lock.digest not in self._tasks:
            task = asyncio.create_task(self._build(lock))
            # A build started ahead of need may fail without anybody asking for it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._tasks[lock.digest] = task
            self._first.setdefault(self._engine.shares(lock), task)
        return self._tasks[lock.digest]

    async def get(self, lock: Lock) -> Environment:
        """The built environment. Raises BuildFailed."""
        return await asyncio.shield(self.want(lock))

    async def evict(self, lock: Lock) -> None:
        """Remove an environment that nobody will want any more, or see to it that its build leaves none."""
        self._unwanted.add(lock.digest)
        task = self._tasks.get(lock.digest)
        if task is None or task.cancelled():
            return
        if not task.done():
            if lock.digest not in self._begun:
                task.cancel()
        elif task.exception() is None:
            await self._drop(lock, task.result())

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _drop(self, lock: Lock, environment: Environment) -> None:
        await asyncio.to_thread(self._engine.remove, [environment.place])
        self._give_place(lock)

    async def _take_place(self, lock: Lock) -> None:
        if self._places is not None and lock.role == "converter":
            await self._places.acquire()
            self._placed.add(lock.digest)

    def _give_place(self, lock: Lock) -> None:
        if self._places is not None and lock.digest in self._placed:
            self._placed.remove(lock.digest)
            self._places.release()

    async def _build(self, lock: Lock) -> Environment:
        try:
            await self._first_of_its_layer(lock)
            await self._take_place(lock)
            async with self._limit:
                self._begun.add(lock.digest)
                environment = await self._prepare(lock)
        except BaseException:
            self._give_place(lock)
            raise
        if lock.digest in self._unwanted:
            await self._drop(lock, environment)
        return environment

    async def _first_of_its_layer(self, lock: Lock) -> None:
        """Wait for the build that makes most of this one too: inside the limit that would keep a place from others."""
        shared = self._engine.shares(lock)
        first = self._first.get(shared)
        if shared and first is not None and first is not asyncio.current_task():
            await asyncio.wait([first])

    async def _prepare(self, lock: Lock) -> Environment:
        started = time.monotonic()
        self._events.building(lock.name)
        problem: str | None = "interrupted"
        try:
            environment = await self._engine.prepare(lock)
            problem = None
            if environment.new:
                self._made.append(environment)
            return environment
        except BuildFailed as failure:
            problem = failure.reason
            raise
        finally:
            self._events.built(lock.name, time.monotonic() - started, problem)
