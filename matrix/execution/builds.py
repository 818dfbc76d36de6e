"""Build environments, each once and a few at a time, while jobs run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from matrix.environments.engine import BuildFailed, Engine, Environment
from matrix.execution.executor import Events
from matrix.execution.slots import Priority, Slots
from matrix.packages.lock import Lock


@dataclass(frozen=True)
class Build:
    """An environment that did not exist before, when its build began (seconds since 1970) and what it took."""

    environment: Environment
    began: float
    seconds: float


class Builds:
    """Builds environments by their `priority`, among equals in the order in which they are wanted, `limit` at once.
    `made` receives those that did not exist before.

    With `places`, at most that many converter environments exist at once: the next one waits until one is evicted.
    Exporters and the reference need no place: converters wait for them, never the other way round, so that they cannot
    block each other.
    """

    def __init__(
        self,
        engine: Engine,
        limit: int,
        events: Events,
        places: int | None = None,
        made: list[Build] | None = None,
        priority: Callable[[Lock], Priority] = lambda _: (),
    ) -> None:
        self._engine = engine
        self._made = [] if made is None else made
        self._slots = Slots(limit)
        self._priority = priority
        self._events = events
        self._places = asyncio.Semaphore(places) if places else None
        self._placed: set[str] = set()
        self._unwanted: set[str] = set()
        self._begun: set[str] = set()
        self._first: dict[str, asyncio.Task[Environment]] = {}
        self._tasks: dict[str, asyncio.Task[Environment]] = {}

    def want(self, lock: Lock) -> asyncio.Task[Environment]:
        """Start building unless it was started before. Two rows with the same lock are one environment."""
        if lock.digest not in self._tasks:
            task = asyncio.create_task(self._build(lock))
            # A build started ahead of need may fail without being awaited, which asyncio would report.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._tasks[lock.digest] = task
            self._first.setdefault(self._engine.shares(lock), task)
        return self._tasks[lock.digest]

    async def get(self, lock: Lock) -> Environment:
        """Wait for the built environment. Raises BuildFailed."""
        return await asyncio.shield(self.want(lock))

    async def evict(self, lock: Lock) -> None:
        """Remove an environment, or cancel its pending build."""
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
        """Cancel all builds. No job may be running."""
        for task in self._tasks.values():
            task.cancel()
        ended = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for built in ended:
            if isinstance(built, Environment) and built.lock.digest not in self._unwanted:
                await self._leave(built)

    async def _drop(self, lock: Lock, environment: Environment) -> None:
        await self._leave(environment)
        await asyncio.to_thread(self._engine.remove, [environment.place])
        self._give_place(lock)

    async def _leave(self, environment: Environment) -> None:
        if environment.new:
            await asyncio.to_thread(self._engine.leave, environment)

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
            await self._wait_for_shared_layers(lock)
            await self._take_place(lock)
            async with self._slots.hold(self._priority(lock)):
                self._begun.add(lock.digest)
                environment = await self._prepare(lock)
        except BaseException:
            self._give_place(lock)
            raise
        if lock.digest in self._unwanted:
            await self._drop(lock, environment)
        return environment

    async def _wait_for_shared_layers(self, lock: Lock) -> None:
        """Wait for the build that shares layers with this one, outside the limit so as not to block other builds."""
        shared = self._engine.shares(lock)
        first = self._first.get(shared)
        if shared and first is not None and first is not asyncio.current_task():
            await asyncio.wait([first])

    async def _prepare(self, lock: Lock) -> Environment:
        began, started = time.time(), time.monotonic()
        self._events.building(lock.name)
        problem: str | None = "interrupted"
        try:
            environment = await self._engine.prepare(lock)
            problem = None
            if environment.new:
                self._made.append(Build(environment, round(began, 3), round(time.monotonic() - started, 3)))
            return environment
        except BuildFailed as failure:
            problem = failure.reason
            raise
        finally:
            self._events.built(lock.name, time.monotonic() - started, problem)
