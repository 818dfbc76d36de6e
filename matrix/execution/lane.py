"""The lane of one environment: runs its jobs one after another on workers that stay alive between them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix.core.files import is_full, remove_tree
from matrix.environments.engine import BuildFailed, Engine, EngineFault, Environment, Worker
from matrix.execution.builds import Builds
from matrix.execution.executor import Events
from matrix.execution.job_identity import Job, observed
from matrix.execution.job_types import CARRIED
from matrix.execution.passes import Spool, collect, hand_over, watch
from matrix.execution.slots import Priority, Slots
from matrix.packages.lock import Lock
from matrix.store.blobs import BlobStore
from matrix.store.records import Exit, Observation, Obstacle, Pass, PassRecord
from matrix.table.model import Limits

_PATIENCE_SECONDS = 0.2


@dataclass(eq=False)
class Lane:
    """The jobs of one environment. The `cores` are shared out between the slots. `expecting` tells whether more jobs
    may come: then idle workers are kept a while, because importing a framework again takes seconds."""

    lock: Lock
    engine: Engine
    builds: Builds
    slots: Slots
    priority: Priority
    root: Path
    blobs: BlobStore
    limits: Limits
    cores: int
    events: Events
    expecting: Callable[[], bool]
    _queue: deque[tuple[Job, asyncio.Future[Observation]]] = field(default_factory=deque, init=False)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _workers: dict[str, Worker] = field(default_factory=dict, init=False)

    async def observe(self, job: Job) -> Observation:
        """Run the job when its turn comes."""
        future: asyncio.Future[Observation] = asyncio.get_running_loop().create_future()
        self._queue.append((job, future))
        self._arrived.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
            # A fault reaches those who wait for jobs; the task itself is not awaited.
            self._task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await future

    async def close(self) -> None:
        """End the lane and its workers, even if they are busy."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._dismiss()

    async def _drain(self) -> None:
        try:
            try:
                environment = await self.builds.get(self.lock)
            except BuildFailed as failure:
                obstacle = Obstacle("build", failure.kind, failure.reason, failure.text)
                while self._queue:
                    job, future = self._queue.popleft()
                    future.set_result(observed(job, self.lock, self.limits, obstacle=obstacle))
                return
            while self._queue:
                async with self.slots.hold(self.priority):
                    while await self._more():
                        # It stays in the queue until it has a result, so that a fault is passed on to it too.
                        job, future = self._queue[0]
                        observation = await self._work(environment, job)
                        self._queue.popleft()
                        if not future.done():
                            future.set_result(observation)
                    await self._dismiss()
        except Exception as fault:
            # A fault of the driver must reach all that wait. Nothing is awaited after this, or a job that arrived
            # meanwhile would wait for ever.
            await self._dismiss()
            while self._queue:
                _, future = self._queue.popleft()
                if not future.done():
                    future.set_exception(fault)
            raise
        finally:
            await self._dismiss()

    async def _more(self) -> bool:
        while not self._queue and self.expecting() and not self.slots.wanted:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), _PATIENCE_SECONDS)
            except TimeoutError:
                continue
        return bool(self._queue)

    async def _work(self, environment: Environment, job: Job) -> Observation:
        self.events.job_started(job.kind, self.lock.name)
        records: list[PassRecord] = []
        carried: Path | None = None
        try:
            for work in job.passes:
                artifact = _kept(work, records)
                # A saved artifact is loaded whatever else failed: each artifact is judged by itself.
                if (carried is None or not artifact) if work.loads else not all(map(_finished, records)):
                    continue
                record, saved = await self._pass(environment, job, work, carried)
                records.append(replace(record, artifact=work.makes or artifact))
                carried = saved or carried
            stopped = None
        except OSError as error:
            # Disk full or too many files: a fault of the machine, not of the toolchain.
            reason = "disk-full" if is_full(error) else "driver-fault"
            stopped = Obstacle("run", "infra", reason, f"{type(error).__name__}: {error}")
        except EngineFault as error:
            stopped = Obstacle("run", "infra", error.reason, str(error))
        finally:
            if carried is not None:
                shutil.rmtree(carried.parent, ignore_errors=True)
        return observed(job, self.lock, self.limits, tuple(records), environment, stopped)

    async def _pass(
        self, environment: Environment, job: Job, work: Pass, carried: Path | None
    ) -> tuple[PassRecord, Path | None]:
        """Run a pass; again on a new worker where a used one ran out of memory, which earlier jobs may have filled."""
        record, saved, shared = await self._attempt(environment, job, work, carried)
        if shared and (record.stopped == "memory" or (record.exit is not None and record.exit.oom)):
            record, saved, _ = await self._attempt(environment, job, work, carried)
        return record, saved

    async def _attempt(
        self, environment: Environment, job: Job, work: Pass, carried: Path | None
    ) -> tuple[PassRecord, Path | None, bool]:
        """Run a pass once; the last value tells whether the worker had been used before."""
        spool = Spool.create(self.root / work.name)
        worker = self._workers.get(work.name)
        if worker is not None and (job.alone or _ended(worker)):
            await self._discard(work.name)
            worker = None
        shared = worker is not None
        if worker is None:
            worker = await self.engine.start(
                environment, work, spool.inbox, spool.outbox, self.limits, self._threads(job)
            )
            self._workers[work.name] = worker
        began = round(time.time(), 3)
        try:
            hand_over(spool, job, work, self.blobs, carried)
            exit_status, stopped, seconds = await watch(worker, spool, job, work, self.limits)
            if job.alone:
                # No process may be left that could exchange files while they are read.
                await worker.kill()
                ended = worker.exited()
                if exit_status is None and ended is not None and ended.oom:
                    # A child of the worker ran out of memory, but the worker lived on.
                    exit_status = Exit(oom=True)
            record = collect(spool, job, work, self.blobs, worker, exit_status, stopped, began, seconds)
            if job.alone or exit_status is not None:
                await self._discard(work.name)
            return record, self._keep_saved(spool, job), shared
        except EngineFault:
            # In whatever state it is: it must neither get the next job nor write any more.
            await self._discard(work.name)
            raise
        finally:
            spool.empty()

    def _threads(self, job: Job) -> int:
        """Return the threads for each framework of a new worker. One that stays will run beside others; one for a
        single job runs beside those that are there now."""
        return max(1, self.cores // (self.slots.demand if job.alone else self.slots.size))

    def _keep_saved(self, spool: Spool, job: Job) -> Path | None:
        """Move the saved artifact out of the outbox for the next pass."""
        saved = spool.outbox / job.folder / CARRIED
        if saved.parent.is_symlink() or saved.is_symlink() or not saved.is_dir():
            return None
        kept = self.root / f"{job.folder}-{CARRIED}" / CARRIED
        kept.parent.mkdir(exist_ok=True)
        saved.rename(kept)
        return kept

    async def _discard(self, work: str) -> None:
        """Kill a worker and the processes that it started."""
        worker = self._workers.get(work)
        if worker is not None:
            # Removed only afterwards: if this is cancelled, `close` must still find it.
            await worker.kill()
            self._workers.pop(work, None)

    async def _dismiss(self) -> None:
        for work in list(self._workers):
            await self._discard(work)
        remove_tree(self.root)


def _ended(worker: Worker) -> bool:
    try:
        return worker.exited() is not None
    except EngineFault:
        return True


def _finished(record: PassRecord) -> bool:
    ended = record.result is not None and bool(record.result.get("done")) and not record.result.get("error")
    return ended and record.exit is None


def _kept(work: Pass, records: Sequence[PassRecord]) -> str:
    """Return the artifact that a pass loads: the first of its kinds that an earlier pass reports as saved, '' for none.
    A pass that was ended at a limit is not believed."""
    said = [record.facts.get("artifacts") for record in records if record.stopped is None]
    kept = {kind for kinds in said if isinstance(kinds, list) for kind in kinds if isinstance(kind, str)}
    return next((kind for kind in work.loads if kind in kept), "")
