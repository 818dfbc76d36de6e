"""One run: every cell of a plan to its observations, each distinct job once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from matrix.config.model import Config, Limits, ModelSpec
from matrix.environments.engine import BuildFailed, Engine
from matrix.errors import ConfigError
from matrix.execution.builds import Builds
from matrix.execution.events import Events
from matrix.execution.inputs import make_inputs
from matrix.execution.jobs import Job, JobMaker, factory_file, is_users, observed
from matrix.execution.lane import Lane
from matrix.execution.slots import Slots
from matrix.locks.lockfile import Lock
from matrix.planning.cells import Cell
from matrix.planning.plan import Plan
from matrix.redact import redact
from matrix.store import CellRecord, Observation, Store
from matrix.store.records import JobKind, Obstacle
from matrix.verdicts.outcome import INDETERMINATE, Outcome

# Exports feed everything else, references are few and short.
_PRIORITIES: dict[JobKind, int] = {"export": 0, "reference": 1, "convert": 2}

_FLUSH_SECONDS = 0.5

# Converter environments built ahead of their turn where disk is short: enough that no slot waits for a build.
_AHEAD = 2


@dataclass
class Counts:
    """Distinct jobs really run and distinct jobs whose stored finding served."""

    run: int = 0
    cached: int = 0


@dataclass
class Run:
    """Executes a plan. `speak` says what an observation means, to know whether it is a finding; `again` runs jobs
    whose finding is stored; `evict` removes an environment as soon as no cell needs it."""

    id: int
    config: Config
    plan: Plan
    locks: Mapping[str, Lock]
    table: Path
    engine: Engine
    store: Store
    jobs: JobMaker
    limits: Limits
    parallel: int
    work: Path
    events: Events
    speak: Callable[[Observation], Outcome | None]
    again: bool = False
    evict: bool = False
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        places = self.parallel + _AHEAD if self.evict else None
        self._builds = Builds(self.engine, max(1, self.parallel), self.events, places)
        self._pending: Counter[str] = Counter()
        self._slots = Slots(self.parallel)
        self._lanes: dict[str, Lane] = {}
        self._once: dict[object, asyncio.Task[Observation]] = {}
        self._inputs: dict[str, str] = {}
        self._factories: dict[str, str | None] = {}
        self._decided: list[CellRecord] = []
        self._unexported = 0

    async def execute(self) -> None:
        """Run to the end. Cancelling ends all workers; what was observed until then is stored."""
        self.events.planned(len(self.plan.cells))
        flusher = asyncio.create_task(self._flush_now_and_then())
        try:
            exports: dict[tuple[str, str, int], list[Cell]] = {}
            for cell in self.plan.cells:
                exports.setdefault((cell.model.id, cell.exporter.id, cell.opset), []).append(cell)
            self._unexported = len(exports)
            for cells in exports.values():
                names = (self.plan.exporter_environment(cells[0]), self.config.reference.id)
                for name in (*names, *(cell.converter.id for cell in cells)):
                    self._pending[self.locks[name].digest] += 1
            async with asyncio.TaskGroup() as group:
                for cells in exports.values():
                    group.create_task(self._follow(cells))
        finally:
            flusher.cancel()
            await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
            await self._builds.close()
            self._flush()

    async def _follow(self, cells: list[Cell]) -> None:
        """One export and everything that waits for it."""
        try:
            export = await self._export(cells[0], cells)
        finally:
            self._unexported -= 1
        await self._no_longer_needed(self.plan.exporter_environment(cells[0]))
        onnx, inputs = export.file("model.onnx"), self._inputs[cells[0].model.id]
        if onnx is None or self.speak(export) is not None:
            for cell in cells:
                self._decide(cell, export, None, None)
                await self._no_longer_needed(cell.converter.id)
            await self._no_longer_needed(self.config.reference.id)
            return
        alone = is_users(cells[0].model)
        reference = asyncio.ensure_future(
            self._observe("reference", self.config.reference.id, self.jobs.reference, onnx, inputs, alone)
        )

        async def one(cell: Cell) -> None:
            convert = self._observe("convert", cell.converter.id, self.jobs.convert, onnx, inputs, alone)
            both = await asyncio.gather(reference, convert)
            self._decide(cell, export, *both)
            await self._no_longer_needed(cell.converter.id)

        async with asyncio.TaskGroup() as group:
            for cell in cells:
                group.create_task(one(cell))
        await self._no_longer_needed(self.config.reference.id)

    async def _no_longer_needed(self, name: str) -> None:
        """One of those that waited for this environment does not any more."""
        lock = self.locks[name]
        self._pending[lock.digest] -= 1
        if self.evict and not self._pending[lock.digest]:
            if name in self._lanes:
                await self._lanes[name].close()
            await self._builds.evict(lock)

    async def _export(self, cell: Cell, cells: list[Cell]) -> Observation:
        inputs, factory = self._inputs_of(cell.model), self._factory_of(cell.model)
        name = self.plan.exporter_environment(cell)

        def make(environment: str) -> Job:
            return self.jobs.export(environment, cell.model, cell.exporter, cell.opset, inputs, factory)

        def soon() -> None:
            # The export will run, so what comes after it will too: build its environments meanwhile.
            for needed in (self.config.reference.id, *(other.converter.id for other in cells)):
                lock = self.locks[needed]
                if lock.outcome == "resolved":
                    self._builds.want(lock)

        return await self._job("export", name, make, is_users(cell.model), soon)

    def _observe(
        self,
        kind: JobKind,
        environment: str,
        maker: Callable[[str, str, str], Job],
        onnx: str,
        inputs: str,
        alone: bool,
    ) -> Awaitable[Observation]:
        return self._job(kind, environment, lambda name: maker(name, onnx, inputs), alone, lambda: None)

    async def _job(
        self, kind: JobKind, name: str, make: Callable[[str], Job], alone: bool, before: Callable[[], None]
    ) -> Observation:
        lock = self.locks[name]
        try:
            job = make(self.engine.identify(lock))
            obstacle = None
        except BuildFailed as failure:
            job = make(f"none:{lock.digest}")
            obstacle = Obstacle("build", failure.kind, failure.reason, failure.text)
        job = replace(job, alone=alone)
        if lock.outcome == "unsatisfiable":
            obstacle = Obstacle("lock", "unsatisfiable", "no-solution", lock.explanation)
        if job.id not in self._once:
            self._once[job.id] = asyncio.create_task(self._settle(kind, lock, job, obstacle, before))
        return await asyncio.shield(self._once[job.id])

    async def _settle(
        self, kind: JobKind, lock: Lock, job: Job, obstacle: Obstacle | None, before: Callable[[], None]
    ) -> Observation:
        known = None if self.again else self.store.finding(job.id, self.limits)
        if known is not None and self._still_a_finding(known):
            # A lock without a solution is looked up like a finding, but it never was a job.
            self.counts.cached += known.obstacle is None or known.obstacle.stage != "lock"
            self.events.job_ended(known, cached=True)
            return known
        if obstacle is not None:
            observation = observed(job, lock, self.limits, obstacle=obstacle)
        else:
            self._builds.want(lock)
            # One turn later: by then every export has put its own environment into the queue of builds.
            asyncio.get_running_loop().call_soon(before)
            observation = await self._lane(kind, lock).observe(job)
            self.counts.run += bool(observation.passes)
        return self._keep(observation)

    def _still_a_finding(self, known: Observation) -> bool:
        """Judged by today's signatures, and with every file it speaks of still there."""
        found = self.speak(known)
        files = [blob for record in known.passes for blob in record.files.values()]
        return (found is None or found.verdict not in INDETERMINATE) and all(
            self.store.blobs.path(blob).exists() for blob in files
        )

    def _keep(self, observation: Observation) -> Observation:
        if observation.obstacle is not None:
            text = redact(observation.obstacle.text)
            observation = replace(observation, obstacle=replace(observation.obstacle, text=text))
        found = self.speak(observation)
        finding = found is None or found.verdict not in INDETERMINATE
        bounded: Literal["timeout", "oom"] | None = None
        if found is not None and (found.verdict == "timeout" or found.verdict == "oom"):
            bounded = found.verdict
        number = self.store.add(self.id, observation, finding, bounded)
        stored = self.store.observations([number])[number]
        self.events.job_ended(stored, cached=False)
        return stored

    def _lane(self, kind: JobKind, lock: Lock) -> Lane:
        if lock.name not in self._lanes:
            self._lanes[lock.name] = Lane(
                lock,
                self.engine,
                self._builds,
                self._slots,
                _PRIORITIES[kind],
                self.work / lock.name,
                self.store.blobs,
                self.limits,
                self.events,
                expecting=lambda: kind != "export" and self._unexported > 0,
            )
        return self._lanes[lock.name]

    def _inputs_of(self, model: ModelSpec) -> str:
        if model.id not in self._inputs:
            self._inputs[model.id] = self.store.blobs.put(make_inputs(model))
        return self._inputs[model.id]

    def _factory_of(self, model: ModelSpec) -> str | None:
        if model.id not in self._factories:
            path = factory_file(model, self.table)
            try:
                self._factories[model.id] = self.store.blobs.put(path.read_bytes()) if path else None
            except OSError as error:
                raise ConfigError(
                    f"{self.table}: the factory file of model {model.id!r}, {path}, cannot be read: {error.strerror}"
                ) from error
        return self._factories[model.id]

    def _decide(
        self, cell: Cell, export: Observation, reference: Observation | None, convert: Observation | None
    ) -> None:
        assert export.id is not None
        self._decided.append(
            CellRecord(
                cell=cell.id,
                model=cell.model.id,
                exporter=cell.exporter.id,
                torch=cell.exporter.torch,
                opset=cell.opset,
                converter=cell.converter.id,
                export=export.id,
                reference=reference.id if reference else None,
                convert=convert.id if convert else None,
            )
        )
        self.events.cell_decided(cell)

    def _flush(self) -> None:
        if self._decided:
            self.store.add_cells(self.id, self._decided)
            self._decided = []

    async def _flush_now_and_then(self) -> None:
        # One transaction for many cells: what a kill can lose here is only their listing in this run, the
        # observations themselves are stored one by one.
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._flush()
