"""Coverage: one job in each of several converter environments, without a cell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matrix.config.model import Limits
from matrix.environments.engine import Engine
from matrix.execution.answers import Answers, Counts
from matrix.execution.builds import Builds
from matrix.execution.events import Events
from matrix.execution.jobs import JobMaker
from matrix.locks.lockfile import Lock
from matrix.store import Observation, Store
from matrix.verdicts.outcome import Outcome


@dataclass
class CoverageRun:
    """Measures the converters `names`. `found` fills up while it goes on; the rest is as for a Run."""

    id: int
    names: Sequence[str]
    locks: Mapping[str, Lock]
    engine: Engine
    store: Store
    jobs: JobMaker
    limits: Limits
    parallel: int
    work: Path
    events: Events
    speak: Callable[[Observation], Outcome | None]
    again: bool
    counts: Counts
    found: dict[str, Observation] = field(default_factory=dict)

    async def execute(self) -> None:
        """Run to the end. Cancelling ends all workers; what was observed until then is stored."""
        builds = Builds(self.engine, max(1, self.parallel), self.events, None, self.counts.made)
        answers = Answers(
            run=self.id,
            locks=self.locks,
            engine=self.engine,
            store=self.store,
            builds=builds,
            limits=self.limits,
            parallel=self.parallel,
            work=self.work,
            events=self.events,
            speak=self.speak,
            again=self.again,
            counts=self.counts,
            expecting=lambda: False,
        )
        try:
            async with asyncio.TaskGroup() as group:
                for name in self.names:
                    group.create_task(self._measure(name, answers))
        finally:
            await answers.close()
            await builds.close()

    async def _measure(self, name: str, answers: Answers) -> None:
        self.found[name] = await answers.to("coverage", name, self.jobs.coverage, False)
