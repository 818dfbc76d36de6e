"""What every run needs, held open while it lasts: the state folder, the engine, the store and the judge."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from matrix import __version__
from matrix.app.progress import LiveProgress, PlainProgress, progress
from matrix.app.project import Project
from matrix.app.run_options import RunOptions
from matrix.core.converter_code import ConverterCode
from matrix.core.errors import Indeterminate, Interrupted
from matrix.core.files import is_full
from matrix.core.text import redact
from matrix.environments.engine import Engine
from matrix.execution import graph
from matrix.execution.disk_peak import DiskPeak
from matrix.execution.graph import Graph, Graphs
from matrix.execution.job_runner import JobCounts
from matrix.execution.jobs import JobMaker
from matrix.execution.run import Run
from matrix.families import family_of
from matrix.judging.cells import CellResult, Judge
from matrix.planning import Plan
from matrix.planning.cells import Cell
from matrix.store import Observation, Store
from matrix.store.state import State
from matrix.table.model import Limits

# A row's backend test cases are one pass, and there are up to two thousand of them.
_COVERAGE_SECONDS = 1800.0


@dataclass
class Runtime:
    """An open runtime; only one can be open on a state folder."""

    project: Project
    options: RunOptions
    engine: Engine
    store: Store
    judge: Judge
    events: PlainProgress | LiveProgress

    def locked(self, cells: Sequence[Cell], tier: str = "") -> Plan:
        """A plan of these cells, with a current lock for everything it needs. Raises what `Project.further` does."""
        return self.project.further(Plan((), tier), tuple(cells), self.events.say, not self.options.locked)

    @contextlib.contextmanager
    def recorded(
        self, tier: str, planned: int | None, part: Mapping[str, str | int] | None = None
    ) -> Iterator[RecordedRun]:
        """A run in the history, ended with this block. `planned` None: only its end shows how many cells it has. `part`
        says which of a run of several machines this is."""
        number = self.store.begin_run(
            tier,
            self.engine.name,
            redact(self.options.command),
            planned or 0,
            _host(self.project.state),
            self.options.resolution,
            self.options.as_of,
            uid=self.options.run_id,
            part=part,
        )
        disk = self.engine.disk()
        underway = RecordedRun(self, number, DiskPeak(disk) if disk else None)
        try:
            yield underway
            underway.status = "complete" if underway.done else "interrupted"
        except (Interrupted, KeyboardInterrupt):
            # The latter while something is resolved: only what runs listens to signals itself.
            underway.status = "interrupted"
            raise
        finally:
            if underway.mark is not None and underway.counts.run:
                self.events.say(underway.mark.text())
            seen = len(underway.results()) if planned is None else None
            self.store.end_run(number, underway.status, underway.counts.run, underway.counts.cached, seen)


@dataclass
class RecordedRun:
    """One run while it goes on. `done` turns False when a signal asked it to stop; `status` is what is stored
    at its end."""

    runtime: Runtime
    number: int
    mark: DiskPeak | None
    counts: JobCounts = field(default_factory=JobCounts)
    done: bool = True
    status: str = "failed"

    def run(self, plan: Plan, exports_only: bool = False) -> bool:
        """Execute a plan as a part of this run; False where it was stopped."""
        project = self.runtime.project
        graphs = Graphs(project.config, plan, self.runtime.options.tflite)
        self._execute(
            [graphs.read(cell) if exports_only else graphs.of(cell) for cell in plan.cells],
            project.environments(plan),
            self._limits(),
        )
        return self.done

    def cover(self, names: list[str]) -> dict[str, Observation]:
        """Measure the operator coverage of converters; of those that were reached."""
        rows = {row.id: row for row in self.runtime.project.config.converters}
        limits = self._limits()
        wide = Limits(seconds=self.runtime.options.seconds or _COVERAGE_SECONDS, memory_mb=limits.memory_mb)
        return self._execute(graph.coverage({name: family_of(rows[name]) for name in names}), names, wide)

    def results(self) -> list[CellResult]:
        """What the run's cells came out as until now."""
        runtime = self.runtime
        return runtime.judge.cells(runtime.store.cells(self.number), runtime.project.locks, self.number)

    def _execute(self, graphs: Sequence[Graph], environments: Iterable[str], limits: Limits) -> dict[str, Observation]:
        """What jobs without a cell left, by environment."""
        runtime = self.runtime
        locks = runtime.project.locks
        runtime.engine.ready({locks[name].python for name in environments})
        run = Run(
            id=self.number,
            config=runtime.project.config,
            graphs=graphs,
            locks=locks,
            table=runtime.project.table.absolute(),
            engine=runtime.engine,
            store=runtime.store,
            jobs=JobMaker(ConverterCode(runtime.project.code)),
            limits=limits,
            parallel=runtime.options.jobs,
            # Of this run alone: what a job made so that nobody can remove it must not be in the next one's way.
            work=runtime.project.state.work / str(self.number),
            events=runtime.events,
            speak=runtime.judge.speak,
            again=runtime.options.again,
            evict=runtime.options.evict,
            counts=self.counts,
        )
        self.done = asyncio.run(self._until_done(run.execute))
        return run.found

    def _limits(self) -> Limits:
        stated, options = self.runtime.project.config.limits, self.runtime.options
        return Limits(seconds=options.seconds or stated.seconds, memory_mb=options.memory_mb or stated.memory_mb)

    async def _until_done(self, execute: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """True when it came to its end, False when a signal asked it to stop."""
        async with self.mark.watching() if self.mark else contextlib.nullcontext():
            return await _until_stopped(execute)


@contextlib.contextmanager
def open_runtime(project: Project, options: RunOptions) -> Iterator[Runtime]:
    """Open the runtime of a project.

    Raises StateInUse where another driver holds the state folder, EngineUnavailable, and Indeterminate where the disk
    of the state folder or the store fills up: then nothing can be recorded.
    """
    try:
        _ = project.config  # A wrong table is said before anything is touched.
        engine, why = project.engine()
        with project.state.held():
            engine.recover()
            store = project.state.open_store(options.store)
            try:
                judge = Judge(project.config, store)
                with progress(judge.speak) as events:
                    events.say(why)
                    yield Runtime(project, options, engine, store, judge, events)
            finally:
                store.close()
    except (OSError, SQLAlchemyError) as error:
        if not is_full(error):
            raise
        raise Indeterminate(
            f"the disk below {redact(str(project.state.root))} is full; what had finished is stored: make room "
            "(python -m matrix clean), then the same command continues"
        ) from error


async def _until_stopped(execute: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    work = asyncio.create_task(execute())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return False
    except BaseExceptionGroup as group:
        # One cause is enough to act on; the group is only how tasks report it.
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group
    return True


def _host(state: State) -> dict[str, str]:
    return {
        "state": state.mark,
        "matrix": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
    }
