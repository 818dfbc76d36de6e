"""The lane of one environment: its jobs one after the other, on workers that stay alive between them."""

from __future__ import annotations

import asyncio
import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from matrix.core.files import is_full, remove_tree
from matrix.environments.engine import BuildFailed, Engine, EngineFault, Environment, Worker
from matrix.execution.builds import Builds
from matrix.execution.events import Events
from matrix.execution.job_types import CARRIED
from matrix.execution.jobs import Job, observed
from matrix.execution.passes import Spool, collect, hand_over, watch
from matrix.execution.slots import Slots
from matrix.packages.lock import Lock
from matrix.store.blobs import BlobStore
from matrix.store.records import Exit, Observation, Obstacle, Pass, PassRecord
from matrix.table.model import Limits

_PATIENCE_SECONDS = 0.2


class Lane:
    """Jobs of one environment. `expecting` says whether more may still come: then idle workers are kept a while,
    because importing a framework again costs seconds."""

    def __init__(
        self,
        lock: Lock,
        engine: Engine,
        builds: Builds,
        slots: Slots,
        priority: int,
        root: Path,
        blobs: BlobStore,
        limits: Limits,
        events: Events,
        expecting: Callable[[], bool],
    ) -> None:
        self._lock = lock
        self._engine = engine
        self._builds = builds
        self._slots = slots
        self._priority = priority
        self._root = root
        self._blobs = blobs
        self._limits = limits
        self._events = events
        self._expecting = expecting
        self._queue: deque[tuple[Job, asyncio.Future[Observation]]] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._workers: dict[str, Worker] = {}

    async def observe(self, job: Job) -> Observation:
        """Run the job when its turn comes."""
        future: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        self._queue.append((job, future))
        self._arrived.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
            # Whoever waits for a job is told of a fault; the task itself has nobody to tell.
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await future

    async def close(self) -> None:
        """End the lane and its workers, whatever they are doing."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._dismiss()

    async def _drain(self) -> None:
        try:
            try:
                environment = await self._builds.get(self._lock)
            except BuildFailed as failure:
                while self._queue:
                    job, future = self._queue.popleft()
                    future.set_result(
                        observed(
                            job,
                            self._lock,
                            self._limits,
                            obstacle=Obstacle("build", failure.kind, failure.reason, failure.text),
                        )
                    )
                return
            while self._queue:
                async with self._slots.hold(self._priority):
                    while await self._more():
                        # It stays in the queue until it is answered, so that a fault finds it there.
                        job, future = self._queue[0]
                        observation = await self._work(environment, job)
                        self._queue.popleft()
                        if not future.done():
                            future.set_result(observation)
                    await self._dismiss()
        except Exception as fault:
            # A fault of the driver itself must reach whoever waits, not leave them waiting. Nothing is awaited after
            # this, or a job could arrive that nobody looks at any more.
            await self._dismiss()
            while self._queue:
                _, future = self._queue.popleft()
                if not future.done():
                    future.set_exception(fault)
            raise
        finally:
            await self._dismiss()

    async def _more(self) -> bool:
        while not self._queue and self._expecting() and not self._slots.wanted:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _PATIENCE_SECONDS)
            except TimeoutError:
                continue
        return bool(self._queue)

    async def _work(self, environment: Environment, job: Job) -> Observation:
        self._events.job_started(job.kind, self._lock.name)
        records: list[PassRecord] = []
        carried: Path | None = None
        try:
            for work in job.passes:
                artifact = _kept(work, records)
                # What was saved is loaded whatever became of the rest: each artifact is judged by itself.
                if (carried is None or not artifact) if work.loads else not all(map(_finished, records)):
                    continue
                record, saved = await self._pass(environment, job, work, carried)
                records.append(replace(record, artifact=work.makes or artifact))
                carried = saved or carried
        except OSError as error:
            # Disk full, too many files: the machine's trouble, not the toolchain's.
            reason = "disk-full" if is_full(error) else "driver-fault"
            text = f"{type(error).__name__}: {error}"
            stopped = Obstacle("run", "infra", reason, text)
            return observed(job, self._lock, self._limits, tuple(records), environment, stopped)
        except EngineFault as error:
            stopped = Obstacle("run", "infra", error.reason, str(error))
            return observed(job, self._lock, self._limits, tuple(records), environment, stopped)
        finally:
            if carried is not None:
                shutil.rmtree(carried.parent, ignore_errors=True)
        return observed(job, self._lock, self._limits, tuple(records), environment)

    async def _pass(
        self, environment: Environment, job: Job, work: Pass, carried: Path | None
    ) -> tuple[PassRecord, Path | None]:
        """One pass; again and alone where a worker that others had used before ran out of memory: they may be why."""
        record, saved, shared = await self._attempt(environment, job, work, carried)
        if shared and (record.stopped == "memory" or (record.exit is not None and record.exit.oom)):
            record, saved, _ = await self._attempt(environment, job, work, carried)
        return record, saved

    async def _attempt(
        self, environment: Environment, job: Job, work: Pass, carried: Path | None
    ) -> tuple[PassRecord, Path | None, bool]:
        """Also says whether the worker had worked before."""
        spool = Spool.create(self._root / work.name)
        # What is a user's gets a worker of its own, before and after it.
        alone = job.alone
        worker = self._workers.get(work.name)
        if worker is not None and (alone or _ended(worker)):
            await self._discard(work.name)
            worker = None
        shared = worker is not None
        if worker is None:
            worker = await self._engine.start(environment, work, spool.inbox, spool.outbox, self._limits)
            self._workers[work.name] = worker
        try:
            hand_over(spool, job, work, self._blobs, carried)
            exit_status, stopped, seconds = await watch(worker, spool, job, work, self._limits)
            if alone:
                # Nobody may be left who could exchange files while they are read.
                await worker.kill()
                ended = worker.exited()
                if exit_status is None and ended is not None and ended.oom:
                    # Memory ended a child of the worker, which lived on.
                    exit_status = Exit(oom=True)
            record = collect(spool, job, work, self._blobs, worker, exit_status, stopped, seconds)
            if alone or exit_status is not None:
                await self._discard(work.name)
            return record, self._keep_saved(spool, job), shared
        except EngineFault:
            # Whatever became of it: the next job must not ask it, and it must not write any more.
            await self._discard(work.name)
            raise
        finally:
            spool.empty()

    def _keep_saved(self, spool: Spool, job: Job) -> Path | None:
        """The saved artifact, moved out of the outbox for the next pass."""
        saved = spool.outbox / job.folder / CARRIED
        if saved.parent.is_symlink() or saved.is_symlink() or not saved.is_dir():
            return None
        kept = self._root / f"{job.folder}-{CARRIED}" / CARRIED
        kept.parent.mkdir(exist_ok=True)
        saved.rename(kept)
        return kept

    async def _discard(self, work: str) -> None:
        """A worker that died or was ended is never used again; what it started dies with it."""
        worker = self._workers.get(work)
        if worker is not None:
            # Forgotten only once it is gone: a cancellation in between must leave it to `close`.
            await worker.kill()
            self._workers.pop(work, None)

    async def _dismiss(self) -> None:
        for work in list(self._workers):
            await self._discard(work)
        remove_tree(self._root)


def _ended(worker: Worker) -> bool:
    try:
        return worker.exited() is not None
    except EngineFault:
        return True


def _finished(record: PassRecord) -> bool:
    ended = record.result is not None and bool(record.result.get("done")) and not record.result.get("error")
    return ended and record.exit is None


def _kept(work: Pass, records: Sequence[PassRecord]) -> str:
    """The artifact that a pass loads: the first of its kinds that an earlier pass says it has saved whole, '' for none.
    A pass that was ended at a limit may have left anything."""
    said = [record.facts.get("artifacts") for record in records if record.stopped is None]
    kept = {kind for kinds in said if isinstance(kinds, list) for kind in kinds if isinstance(kind, str)}
    return next((kind for kind in work.loads if kind in kept), "")
