"""Get the observation of a job: the stored one, the obstacle that prevents it, or a new one by an executor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from matrix.core.text import redact
from matrix.environments.engine import BuildFailed
from matrix.execution.builds import Build
from matrix.execution.executor import Events, Executor
from matrix.execution.job_identity import Job, observed
from matrix.judging.outcome import Outcome
from matrix.packages.lock import Lock
from matrix.store import Observation, Store
from matrix.store.records import Obstacle
from matrix.table.model import Limits


@dataclass
class JobCounts:
    """Distinct jobs that were run, distinct jobs whose stored finding was used, and the builds of environments."""

    run: int = 0
    cached: int = 0
    made: list[Build] = field(default_factory=list)


@dataclass
class JobRunner:
    """Runs every distinct job of the run `run` once. `again` ignores findings of earlier runs."""

    run: int
    locks: Mapping[str, Lock]
    executor: Executor
    store: Store
    limits: Limits
    events: Events
    speak: Callable[[Observation], Outcome | None]
    again: bool
    counts: JobCounts
    _once: dict[object, asyncio.Task[Observation]] = field(default_factory=dict)

    async def observe(
        self,
        name: str,
        make: Callable[[str], Job],
        before: Callable[[], None] = lambda: None,
        refused: Obstacle | None = None,
    ) -> Observation:
        """Return the observation of the job that `make` makes for the identity of the environment `name`. `refused` is
        the reason not to run it; `before` is called if it runs."""
        lock = self.locks[name]
        try:
            job = make(self.executor.identify(lock))
            obstacle = refused
        except BuildFailed as failure:
            job = make(f"none:{lock.digest}")
            obstacle = Obstacle("build", failure.kind, failure.reason, failure.text)
        if lock.outcome == "unsatisfiable":
            obstacle = Obstacle("lock", "unsatisfiable", "no-solution", lock.explanation)
        if job.id not in self._once:
            self._once[job.id] = task = asyncio.create_task(self._settle(lock, job, obstacle, before))
            # If everything that waited for it was cancelled, asyncio would print its failure.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._once[job.id])

    async def _settle(self, lock: Lock, job: Job, obstacle: Obstacle | None, before: Callable[[], None]) -> Observation:
        known = self.store.finding(job.id, self.limits)
        # A finding of this run, made before a search, is neither run again nor counted.
        ours = known is not None and known.run == self.run
        if known is not None and (ours or not self.again) and self._still_a_finding(known):
            # A lock without a solution is looked up like a finding, but was never a job.
            self.counts.cached += not ours and (known.obstacle is None or known.obstacle.stage != "lock")
            self.events.job_ended(known, cached=True)
            return known
        if obstacle is not None:
            observation = observed(job, lock, self.limits, obstacle=obstacle)
        else:
            self.executor.expect(lock)
            # In the next turn of the loop: by then every export has queued the build of its own environment.
            asyncio.get_running_loop().call_soon(before)
            observation = await self.executor.observe(lock, job)
            self.counts.run += bool(observation.passes)
        return self.keep(observation)

    def _still_a_finding(self, known: Observation) -> bool:
        """Judge it by today's signatures, and check that all of its files are still stored."""
        found = self.speak(known)
        files = {blob for record in known.passes for blob in record.files.values()}
        return (found is None or not found.finding.indeterminate) and files <= self.store.blobs.existing(files)

    def keep(self, observation: Observation) -> Observation:
        """Store an observation, and return it as stored."""
        if observation.obstacle is not None:
            text = redact(observation.obstacle.text)
            observation = replace(observation, obstacle=replace(observation.obstacle, text=text))
        found = self.speak(observation)
        verdict = found.finding.verdict if found is not None else None
        bounded: Literal["timeout", "oom"] | None = verdict if verdict == "timeout" or verdict == "oom" else None
        finding = found is None or not found.finding.indeterminate
        number = self.store.add(self.run, observation, finding, bounded)
        stored = self.store.observations([number])[number]
        self.events.job_ended(stored, cached=False)
        return stored
