"""One run: executes the jobs of graphs, each distinct one once, and records the cells."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from packaging.version import Version

from matrix.core.errors import ConfigError, Indeterminate
from matrix.environments.engine import Engine
from matrix.execution.executor import Events
from matrix.execution.expected import busy_seconds
from matrix.execution.graph import Graph, JobNode, environments_after
from matrix.execution.job_identity import Job, JobMaker, export_params, factory_params, observed
from matrix.execution.job_runner import JobCounts, JobRunner
from matrix.execution.job_types import FACTORY, FILE, INPUTS
from matrix.execution.local import LocalExecutor
from matrix.execution.model_inputs import stated_inputs
from matrix.execution.user_files import UserFiles, no_packages
from matrix.judging.outcome import Outcome
from matrix.packages.lock import Lock
from matrix.planning.cells import Cell
from matrix.planning.shards import Costs
from matrix.store import CellRecord, Observation, Store
from matrix.store.records import Obstacle
from matrix.table.model import Config, Limits, Packaged

# The first release of torch that loads checkpoints without running their code; before, `weights_only` could be bypassed
# (CVE-2025-32434).
_LOADS_SAFELY = Version("2.6")

_FLUSH_SECONDS = 0.5


@dataclass
class Run:
    """Executes graphs. `speak` returns the outcome of an observation; `again` repeats jobs whose finding is stored;
    `fetch` returns the file of a package; `evict` removes an environment after its last job; `costs` reads what jobs
    took before, if any has to run. `found` collects the observations of jobs without a cell, by environment."""

    id: int
    config: Config
    graphs: Sequence[Graph]
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
    fetch: Callable[[Packaged], Path] = no_packages
    again: bool = False
    evict: bool = False
    costs: Callable[[], Costs] = Costs
    counts: JobCounts = field(default_factory=JobCounts)
    found: dict[str, Observation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._executor = LocalExecutor(
            self.engine,
            self.store.blobs,
            self.limits,
            self.parallel,
            self.work,
            self.events,
            self.evict,
            self.counts.made,
            expecting=lambda: self._unsettled > 0,
            busy=lambda name: self._busy.get(name, 0.0),
        )
        self._runner = JobRunner(
            run=self.id,
            locks=self.locks,
            executor=self._executor,
            store=self.store,
            limits=self.limits,
            events=self.events,
            speak=self.speak,
            again=self.again,
            counts=self.counts,
        )
        self._files = UserFiles(self.table.parent, self.store.blobs, self.fetch)
        self._ir_versions = _oldest_ir(self.config)
        self._tasks: dict[JobNode, asyncio.Task[Observation | None]] = {}
        self._after = environments_after(self.graphs)
        self._decided: list[CellRecord] = []
        nodes = dict.fromkeys(node for graph in self.graphs for node in graph.nodes)
        self._pending = Counter(self.locks[node.environment].digest for node in nodes)
        self._unsettled = sum(node.is_source for node in nodes)

    @cached_property
    def _busy(self) -> dict[str, float]:
        return busy_seconds(self.graphs, self.costs(), self.locks)

    async def execute(self) -> None:
        """Run to the end. Cancelling ends all workers; observations made until then are stored."""
        cells = sum(bool(graph.further) for graph in self.graphs)
        if cells or not self.graphs:
            self.events.planned(cells)
        flusher = asyncio.create_task(self._flush_now_and_then())
        try:
            async with asyncio.TaskGroup() as group:
                for graph in self.graphs:
                    group.create_task(self._follow(graph, group))
        finally:
            flusher.cancel()
            # What made it fail, such as a full disk, makes the last flush fail too.
            await asyncio.gather(flusher, return_exceptions=True)
            await self._executor.close()
            self._flush()

    async def _follow(self, graph: Graph, group: asyncio.TaskGroup) -> None:
        """Run the jobs of a graph and record its cell. Jobs that graphs share are run once."""
        nodes = list(graph.nodes)
        seen = dict(zip(nodes, await asyncio.gather(*(self._task(node, group) for node in nodes)), strict=True))
        if graph.cell is not None:
            self._decide(graph, graph.cell, seen)
        elif (source := seen[graph.source]) is not None:
            self.found[graph.source.environment] = source

    def _task(self, node: JobNode, group: asyncio.TaskGroup) -> asyncio.Task[Observation | None]:
        if node not in self._tasks:
            self._tasks[node] = group.create_task(self._settle(node, group))
        return self._tasks[node]

    async def _settle(self, node: JobNode, group: asyncio.TaskGroup) -> Observation | None:
        """Return the observation of a job; None where it was not run because the one before it failed."""
        try:
            before = await self._task(node.before, group) if node.before is not None else None
            runs = node.before is None or (before is not None and self._serves(node, before))
            seen = await self._observe(node, before) if runs else None
        finally:
            self._unsettled -= node.is_source
        await self._no_longer_needed(node)
        return seen

    def _serves(self, node: JobNode, before: Observation) -> bool:
        """Tell whether the job before succeeded and left the files that this one takes."""
        return self.speak(before) is None and all(before.file(take.of) for take in node.type.takes if take.of)

    async def _observe(self, node: JobNode, before: Observation | None) -> Observation:
        try:
            seen = await (self._inspect(node) if node.kind == "inspect" else self._ask(node, self._given(node, before)))
            if node.is_source and self.speak(seen) is None:
                # Later jobs get inputs of these; where they cannot be made, the error belongs to the source.
                assert node.model is not None
                facts = seen.facts
                self._files.inputs(node.model, facts.get("inputs") or (), facts.get("chosen") or ())
            return seen
        except ConfigError as error:
            # A bad input of one model must not end the run for the others.
            return self._unusable(node, str(error))
        except Indeterminate as error:
            return self._unusable(node, str(error), "infra", "package-not-fetched")

    async def _inspect(self, node: JobNode) -> Observation:
        """Inspect a user's .onnx file; again with its external data, where it names some."""
        assert node.model is not None
        files = self._given(node, None)
        seen = await self._ask(node, files)
        beside = seen.facts.get("external")
        if self.speak(seen) is None and isinstance(beside, list) and seen.file("model.onnx") is None:
            seen = await self._ask(node, files | self._files.beside(node.model, map(str, beside)))
        return seen

    async def _ask(self, node: JobNode, files: Mapping[str, str]) -> Observation:
        params, imports = self._told(node)

        def make(environment: str) -> Job:
            job = self.jobs.make(node.kind, environment, params, files, node.family, imports)
            return replace(job, alone=node.alone)

        def soon() -> None:
            # The source will run, and then the jobs after it: their environments are built meanwhile.
            for name in self._after.get(node, ()):
                self._executor.expect(self.locks[name])

        return await self._runner.observe(node.environment, make, soon, self._refused(node))

    def _given(self, node: JobNode, before: Observation | None) -> dict[str, str]:
        """Return the files of a job: {file in its folder: blob}."""
        files: dict[str, str] = {}
        for take in node.type.takes:
            if take.of:
                if before is not None:
                    files[take.file] = str(before.file(take.of))
                continue
            assert node.model is not None
            if take == INPUTS:
                files[take.file] = (
                    self._files.of_first_size(node.model) if node.of_one_size else self._files.inputs(node.model)
                )
            elif take == FACTORY:
                files |= self._files.of_factory(node.model)
            elif take == FILE:
                files |= self._files.onnx(node.model)
        return files

    def _told(self, node: JobNode) -> tuple[Mapping[str, Any], Sequence[str]]:
        """Return the parameters of a job, and the modules of converter/ that it imports because of them."""
        if node.kind == "inspect":
            assert node.model is not None
            return {"inputs": stated_inputs(node.model)}, ()
        if FACTORY not in node.type.takes:
            return node.params, ()
        assert node.model is not None and node.exporter is not None
        model = self._files.placed(node.model)
        # Loaded safely where torch can, even in a cage; where it cannot, a cage prevents harm.
        trusted = model.trust or (self._executor.cage and not self._loads_safely(node))
        names = self._files.names(model)
        if node.kind == "export":
            return export_params(model, node.exporter, node.opset, self._ir_versions.get(node.opset), trusted, names)
        params, imports = factory_params(model, trusted, names)
        return {**params, **node.params}, imports

    def _refused(self, node: JobNode) -> Obstacle | None:
        model = node.model
        if FACTORY not in node.type.takes or model is None or model.checkpoint is None:
            return None
        if model.trust or self._executor.cage or self._loads_safely(node):
            return None
        return Obstacle(
            "model",
            "unavailable",
            "checkpoint-not-trusted",
            f"torch {self._torch(node)} cannot load a checkpoint without running code that may be in it, and a virtual "
            "environment does not isolate that code",
        )

    def _loads_safely(self, node: JobNode) -> bool:
        return Version(self._torch(node)) >= _LOADS_SAFELY

    def _torch(self, node: JobNode) -> str:
        assert node.exporter is not None
        stated = node.exporter.torch if node.exporter.writes else ""
        return stated or self.locks[node.environment].packages.get("torch", "0")

    def _unusable(
        self, node: JobNode, why: str, kind: Literal["error", "infra"] = "error", reason: str = "model-unusable"
    ) -> Observation:
        """Store the observation of a job that cannot be made, for a reason that the user has to remove."""
        assert node.model is not None
        name = hashlib.sha256(f"{node.model.id}\0{why}".encode()).hexdigest()
        job = Job(name, node.kind, {}, {}, family=node.family.name if node.family is not None else "")
        obstacle = Obstacle("model", kind, reason, why)
        return self._runner.keep(observed(job, self.locks[node.environment], self.limits, obstacle=obstacle))

    async def _no_longer_needed(self, node: JobNode) -> None:
        """Release the environment after the last job that needs it."""
        lock = self.locks[node.environment]
        self._pending[lock.digest] -= 1
        if not self._pending[lock.digest]:
            await self._executor.leave(lock)

    def _decide(self, graph: Graph, cell: Cell, seen: Mapping[JobNode, Observation | None]) -> None:
        numbers = {node: one.id for node, one in seen.items() if one is not None and one.id is not None}
        source, first = numbers.get(graph.source), numbers[graph.sources[0]]
        further = {part: numbers.get(node) for part, node in graph.further.items()}
        # A model that was only read decides no cell: it is kept like a search, under its own base.
        only_read, read = not graph.further, cell.read_id
        self._decided.append(
            CellRecord(
                cell=str(replace(read, search="read")) if only_read else cell.id,
                model=cell.model.id,
                exporter=cell.exporter.id,
                torch=cell.exporter.torch,
                opset=cell.opset,
                converter="" if only_read else cell.converter.id,
                # Where the model itself could not be run, nothing was exported.
                export=first if source is None else source,
                reference=further.get("reference"),
                convert=further.get("convert"),
                base=str(read) if only_read else cell.base,
                changes=tuple((step.kind, step.words) for step in cell.changes),
                alter=tuple(numbers[node] for node in graph.alter if node in numbers),
                expose=further.get("expose"),
                trace=further.get("trace"),
                forward=first if source not in (None, first) else None,
            )
        )
        if not only_read:
            self.events.cell_decided(cell)

    def _flush(self) -> None:
        if self._decided:
            self.store.add_cells(self.id, self._decided)
            self._decided = []

    async def _flush_now_and_then(self) -> None:
        # One transaction for many cells. A kill loses only their entries in this run: observations are stored singly.
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._flush()


def _oldest_ir(config: Config) -> dict[int, int]:
    """Return {opset: IR version of the first ONNX release that has it}, as files of that opset were written."""
    found: dict[int, int] = {}
    for release in sorted(config.onnx, key=lambda release: Version(release.version)):
        found.setdefault(release.opset, release.ir)
    return found
