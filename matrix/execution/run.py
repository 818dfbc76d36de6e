"""One run: every cell of a plan to its observations, each distinct job once."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.version import Version

from matrix.config.model import Config, Limits
from matrix.environments.engine import Engine
from matrix.errors import ConfigError
from matrix.execution.answers import Answers, Counts
from matrix.execution.builds import Builds
from matrix.execution.events import Events
from matrix.execution.jobs import Job, JobMaker, is_users, observed
from matrix.execution.materials import Materials
from matrix.locks.lockfile import Lock
from matrix.planning.cells import Cell
from matrix.planning.plan import Plan
from matrix.store import CellRecord, Observation, Store
from matrix.store.records import JobKind, Obstacle
from matrix.verdicts.outcome import Outcome

# From this release on a checkpoint can be loaded so that it runs no code; before, that check could be bypassed
# (CVE-2025-32434).
_LOADS_SAFELY = Version("2.6")

_FLUSH_SECONDS = 0.5

# Converter environments built ahead of their turn where disk is short: enough that no slot waits for a build.
_AHEAD = 2


@dataclass
class Run:
    """Executes a plan. `speak` says what an observation means, to know whether it is a finding; `again` runs jobs
    whose finding is stored; `evict` removes an environment as soon as no cell needs it; `tflite` carries what was
    converted on to TensorFlow Lite; `exports_only` stops when the file is there and decides no
    cell."""

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
    tflite: bool = False
    exports_only: bool = False
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        places = self.parallel + _AHEAD if self.evict else None
        self._builds = Builds(self.engine, max(1, self.parallel), self.events, places, self.counts.made)
        self._pending: Counter[str] = Counter()
        self._materials = Materials(self.table.parent, self.store.blobs)
        self._ir_versions = _oldest_ir(self.config)
        self._decided: list[CellRecord] = []
        self._unexported = 0
        self._answers = Answers(
            run=self.id,
            locks=self.locks,
            engine=self.engine,
            store=self.store,
            builds=self._builds,
            limits=self.limits,
            parallel=self.parallel,
            work=self.work,
            events=self.events,
            speak=self.speak,
            again=self.again,
            counts=self.counts,
            expecting=lambda: self._unexported > 0,
        )

    async def execute(self) -> None:
        """Run to the end. Cancelling ends all workers; what was observed until then is stored."""
        if not self.exports_only:
            self.events.planned(len(self.plan.cells))
        flusher = asyncio.create_task(self._flush_now_and_then())
        try:
            exports: dict[tuple[str, str, str, int], list[Cell]] = {}
            for cell in self.plan.cells:
                environment = self.plan.exporter_environment(cell)
                exports.setdefault((cell.model.id, cell.exporter.id, environment, cell.opset), []).append(cell)
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
            await self._answers.close()
            await self._builds.close()
            self._flush()

    async def _follow(self, cells: list[Cell]) -> None:
        """One export and everything that waits for it."""
        inputs = ""
        try:
            export = await (self._export if cells[0].exporter.writes else self._inspect)(cells[0], cells)
            if self.speak(export) is None:
                inputs = self._materials.inputs(cells[0].model, export.facts.get("inputs") or ())
        except ConfigError as error:
            # What one user gave must not take the results of other models along.
            export = self._unusable(cells[0], str(error))
        finally:
            self._unexported -= 1
        await self._no_longer_needed(self.plan.exporter_environment(cells[0]))
        onnx = export.file("model.onnx")
        if self.exports_only:
            self._read(cells[0], export)
        elif onnx is None or self.speak(export) is not None:
            for cell in cells:
                self._decide(cell, export)
                await self._no_longer_needed(cell.converter.id)
        else:
            async with asyncio.TaskGroup() as group:
                for cell in cells:
                    group.create_task(self._convert(cell, export, onnx, inputs))
        await self._no_longer_needed(self.config.reference.id)

    def _unusable(self, cell: Cell, why: str) -> Observation:
        """A model that no job can be made of, for a reason that a person has to see to."""
        kind: JobKind = "export" if cell.exporter.writes else "inspect"
        job = Job(hashlib.sha256(f"{cell.model.id}\0{why}".encode()).hexdigest(), kind, {}, {})
        lock = self.locks[self.plan.exporter_environment(cell)]
        stopped = Obstacle("model", "error", "model-unusable", why)
        return self._answers.keep(observed(job, lock, self.limits, obstacle=stopped))

    async def _convert(self, cell: Cell, export: Observation, onnx: str, inputs: str) -> None:
        """From the exported file to what the cell asks for. Jobs that cells share are run once."""
        alone = is_users(cell.model)
        reference, converter = self.config.reference.id, cell.converter.id
        altered: list[Observation] = []
        for change in cell.alterations:
            seen = await self._alter(onnx, change, alone)
            altered.append(seen)
            made = seen.file("model.onnx")
            if made is None or self.speak(seen) is not None:
                self._decide(cell, export, altered)
                await self._no_longer_needed(converter)
                return
            onnx = made
        environ = dict(cell.environ)
        both = await asyncio.gather(
            self._answers.to("reference", reference, lambda env: self.jobs.reference(env, onnx, inputs), alone),
            self._answers.to(
                "convert",
                converter,
                lambda env: self.jobs.convert(env, onnx, inputs, environ, self.tflite),
                alone or bool(environ),
            ),
        )
        found: tuple[Observation | None, Observation | None] = (None, None)
        if cell.locate is not None:
            found = await self._locate(cell, onnx, inputs, cell.locate)
        self._decide(cell, export, altered, *both, *found)
        await self._no_longer_needed(converter)

    async def _alter(self, onnx: str, change: tuple[str, str | int | bool], alone: bool) -> Observation:
        name = self.config.reference.id
        return await self._answers.to("alter", name, lambda env: self.jobs.alter(env, onnx, change), alone)

    async def _locate(
        self, cell: Cell, onnx: str, inputs: str, case: int
    ) -> tuple[Observation | None, Observation | None]:
        """Every intermediate tensor of one case, of ONNX Runtime and of TensorFlow."""
        alone, environ = is_users(cell.model), dict(cell.environ)
        exposed = await self._answers.to(
            "expose", self.config.reference.id, lambda env: self.jobs.expose(env, onnx, inputs, case), alone
        )
        file = exposed.file("exposed.onnx")
        if file is None or self.speak(exposed) is not None:
            return exposed, None
        trace = self._answers.to(
            "trace",
            cell.converter.id,
            lambda env: self.jobs.trace(env, file, inputs, case, environ),
            alone or bool(environ),
        )
        return exposed, await trace

    async def _no_longer_needed(self, name: str) -> None:
        """One of those that waited for this environment does not any more."""
        lock = self.locks[name]
        self._pending[lock.digest] -= 1
        if self.evict and not self._pending[lock.digest]:
            await self._answers.leave(name)
            await self._builds.evict(lock)

    async def _export(self, cell: Cell, cells: Sequence[Cell]) -> Observation:
        model = self._materials.placed(cell.model)
        inputs, files = self._materials.inputs(model), self._materials.of_factory(model)
        names = self._materials.names(model)
        trusted = model.trust or self.engine.cage

        def make(environment: str) -> Job:
            return self.jobs.export(
                environment,
                model,
                cell.exporter,
                cell.opset,
                self._ir_versions.get(cell.opset),
                # Where the safe way exists it is gone, cage or not; in a cage the other one may do no harm.
                trusted=model.trust or (trusted and Version(cell.exporter.torch) < _LOADS_SAFELY),
                inputs=inputs,
                files=files,
                names=names,
            )

        refused = None
        if model.checkpoint is not None and not trusted and Version(cell.exporter.torch) < _LOADS_SAFELY:
            refused = Obstacle(
                "model",
                "unavailable",
                "checkpoint-not-trusted",
                f"torch {cell.exporter.torch} cannot load a checkpoint without running code that may be in it, and a "
                "virtual environment is no cage",
            )
        name = self.plan.exporter_environment(cell)
        return await self._answers.to("export", name, make, is_users(model), self._soon(cells), refused)

    async def _inspect(self, cell: Cell, cells: Sequence[Cell]) -> Observation:
        """Look into a user's .onnx file; again with the files beside it, where it names some."""
        model, name = cell.model, self.config.reference.id
        files = self._materials.onnx(model)
        soon = self._soon(cells)
        seen = await self._answers.to("inspect", name, lambda env: self.jobs.inspect(env, files), True, soon)
        beside = seen.facts.get("external")
        if self.speak(seen) is None and isinstance(beside, list) and seen.file("model.onnx") is None:
            files = files | self._materials.beside(model, map(str, beside))
            seen = await self._answers.to("inspect", name, lambda env: self.jobs.inspect(env, files), True, soon)
        return seen

    def _soon(self, cells: Sequence[Cell]) -> Callable[[], None]:
        """The export will run, so what comes after it will too: build its environments meanwhile."""

        def want() -> None:
            if self.exports_only:
                return
            for needed in (self.config.reference.id, *(other.converter.id for other in cells)):
                lock = self.locks[needed]
                if lock.outcome == "resolved":
                    self._builds.want(lock)

        return want

    def _read(self, cell: Cell, export: Observation) -> None:
        """A model was read, which decides no cell: it is kept like what a search did, under a base of its own."""
        assert export.id is not None
        base = cell.read_id
        self._decided.append(
            CellRecord(
                cell=str(replace(base, search="read")),
                model=cell.model.id,
                exporter=cell.exporter.id,
                torch=cell.exporter.torch,
                opset=cell.opset,
                converter="",
                export=export.id,
                reference=None,
                convert=None,
                base=str(base),
            )
        )

    def _decide(
        self,
        cell: Cell,
        export: Observation,
        altered: Sequence[Observation] = (),
        reference: Observation | None = None,
        convert: Observation | None = None,
        exposed: Observation | None = None,
        traced: Observation | None = None,
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
                base=cell.base,
                changes=tuple((step.kind, step.words) for step in cell.changes),
                alter=tuple(item.id for item in altered if item.id is not None),
                expose=exposed.id if exposed else None,
                trace=traced.id if traced else None,
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


def _oldest_ir(config: Config) -> dict[int, int]:
    """{opset: IR version of the first ONNX release that has it}: what a file of that opset was written with."""
    found: dict[int, int] = {}
    for release in sorted(config.onnx, key=lambda release: Version(release.version)):
        found.setdefault(release.opset, release.ir)
    return found
