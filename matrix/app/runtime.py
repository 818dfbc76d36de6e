"""Open what a run needs: the state folder, the engine, the store and the judge."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import resource
import signal
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from matrix import __version__
from matrix.app.progress import PlainProgress, progress
from matrix.app.project import Project
from matrix.app.run_options import RunOptions
from matrix.app.sharding import measured
from matrix.core.converter_code import ConverterCode
from matrix.core.errors import Indeterminate, Interrupted
from matrix.core.files import is_full
from matrix.core.processes import available_cores
from matrix.core.text import redact
from matrix.environments.engine import Engine
from matrix.execution import graph
from matrix.execution.disk_peak import DiskPeak
from matrix.execution.graph import Graph, Graphs
from matrix.execution.job_identity import JobMaker
from matrix.execution.job_runner import JobCounts
from matrix.execution.run import Run
from matrix.families import family_of
from matrix.judging.cells import CellResult, Judge
from matrix.packages.packaged import fetch
from matrix.planning import Plan
from matrix.planning.cells import Cell
from matrix.store import Observation, Store
from matrix.store.state import State
from matrix.table.model import Limits

# A row's backend test cases, up to two thousand, are one pass.
_COVERAGE_SECONDS = 1800.0


@dataclass
class Runtime:
    """An open runtime; only one can be open on a state folder."""

    project: Project
    options: RunOptions
    engine: Engine
    store: Store
    judge: Judge
    events: PlainProgress

    def locked(self, cells: Sequence[Cell], tier: str = "") -> Plan:
        """Return a plan of these cells, with a current lock for every environment.

        Raises Indeterminate and ConfigError, as `Project.further` does.
        """
        return self.project.further(Plan((), tier), tuple(cells), self.events.say, not self.options.locked)

    @contextlib.contextmanager
    def recorded(
        self, tier: str, planned: int | None, part: Mapping[str, str | int] | None = None
    ) -> Iterator[RecordedRun]:
        """Record a run in the history, which ends with this block.

        `planned` is the number of cells, None: known at its end only. `part` is this machine's part of a run of
        several machines.
        """
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
        disk, before = self.engine.disk(), _processor_seconds()
        underway = RecordedRun(self, number, DiskPeak(disk) if disk else None)
        try:
            yield underway
            underway.status = "complete" if underway.done else "interrupted"
        except (Interrupted, KeyboardInterrupt):
            # KeyboardInterrupt while something is resolved: jobs handle signals themselves.
            underway.status = "interrupted"
            raise
        finally:
            if underway.mark is not None and underway.counts.run:
                self.events.say(underway.mark.text())
            seen = len(underway.results()) if planned is None else None
            counts = underway.counts
            self.store.end_run(
                number, underway.status, counts.run, counts.cached, seen, _spent(before, self.options.jobs, counts)
            )


@dataclass
class RecordedRun:
    """A run in progress.

    `done` is False once a signal has stopped it; `status` is stored at its end; `mark` observes the disk.
    """

    runtime: Runtime
    number: int
    mark: DiskPeak | None
    counts: JobCounts = field(default_factory=JobCounts)
    done: bool = True
    status: str = "failed"

    def run(self, plan: Plan, exports_only: bool = False) -> bool:
        """Execute a plan as a part of this run; return False if it was stopped."""
        project = self.runtime.project
        graphs = Graphs(project.config, plan, self.runtime.options.tflite)
        self._execute(
            [graphs.read(cell) if exports_only else graphs.of(cell) for cell in plan.cells],
            project.environments(plan),
            project.config.limits.seconds,
        )
        return self.done

    def cover(self, names: list[str]) -> dict[str, Observation]:
        """Measure the operator coverage of converters; return the observations of those that were reached."""
        rows = {row.id: row for row in self.runtime.project.config.converters}
        graphs = graph.coverage({name: family_of(rows[name]) for name in names})
        return self._execute(graphs, names, _COVERAGE_SECONDS)

    def results(self) -> list[CellResult]:
        """Return the results of the cells that were decided until now."""
        runtime = self.runtime
        return runtime.judge.cells(runtime.store.cells(self.number), runtime.project.locks, self.number)

    def _execute(self, graphs: Sequence[Graph], environments: Iterable[str], seconds: float) -> dict[str, Observation]:
        """Execute graphs; return the observations of jobs without a cell, by environment.

        `seconds` is the limit of one pass unless the options have one.
        """
        runtime, options = self.runtime, self.runtime.options
        project, locks = runtime.project, runtime.project.locks
        runtime.engine.ready({locks[name].python for name in environments})
        run = Run(
            id=self.number,
            config=project.config,
            graphs=graphs,
            locks=locks,
            table=project.table.absolute(),
            engine=runtime.engine,
            store=runtime.store,
            jobs=JobMaker(ConverterCode(project.code)),
            limits=Limits(
                seconds=options.seconds or seconds,
                memory_mb=options.memory_mb or project.config.limits.memory_mb,
            ),
            parallel=options.jobs,
            # For this run alone: files that a job made irremovable must not be in the way of the next run.
            work=project.state.work / str(self.number),
            events=runtime.events,
            speak=runtime.judge.speak,
            fetch=partial(fetch, folder=project.state.packages, settings=project.settings),
            again=options.again,
            evict=options.evict,
            costs=lambda: measured(runtime.store, [graph.cell for graph in graphs if graph.cell is not None]),
            counts=self.counts,
        )
        self.done = asyncio.run(_until_stopped(run.execute, self.mark))
        return run.found


@contextlib.contextmanager
def open_runtime(project: Project, options: RunOptions) -> Iterator[Runtime]:
    """Open the runtime of a project.

    Raises ConfigError for a wrong table, StateInUse if another driver holds the state folder, EngineUnavailable, and
    Indeterminate if the disk of the state folder or the store fills up, because then nothing can be recorded.
    """
    try:
        _ = project.config  # A wrong table is reported before anything is touched.
        engine, why = project.engine()
        with project.state.held():
            engine.recover()
            with contextlib.closing(project.state.open_store(options.store)) as store:
                judge = Judge(project.config, store)
                with progress(judge.speak) as events:
                    events.say(why)
                    yield Runtime(project, options, engine, store, judge, events)
    except (OSError, SQLAlchemyError) as error:
        if not is_full(error):
            raise
        raise Indeterminate(
            f"the disk below {redact(str(project.state.root))} is full; finished work is stored: free space "
            "(python -m matrix clean), then the same command continues"
        ) from error


async def _until_stopped(execute: Callable[[], Coroutine[Any, Any, None]], mark: DiskPeak | None) -> bool:
    """Return True once `execute` has ended, False if a signal stopped it. Raises the first error of its tasks."""
    async with mark.watching() if mark else contextlib.nullcontext():
        work = asyncio.create_task(execute())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            return False
        except BaseExceptionGroup as group:
            # One cause is enough to act on; tasks report it as a group.
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from group
    return True


def _processor_seconds() -> tuple[float, float]:
    """Return the processor seconds of the driver, and of those of its children that have ended: under docker, only the
    builder's client."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _spent(before: tuple[float, float], jobs: int, counts: JobCounts) -> dict[str, Any]:
    """Return what a run took beside its jobs, as JSON-ready data: history/profile.py reads it."""
    own, children = (now - then for now, then in zip(_processor_seconds(), before, strict=True))
    return {
        "cores": available_cores(),
        "jobs": jobs,
        "driver_cpu_seconds": round(own, 3),
        "children_cpu_seconds": round(children, 3),
        "builds": [[build.environment.lock.name, build.began, build.seconds] for build in counts.made],
    }


def _host(state: State) -> dict[str, str]:
    return {
        "state": state.mark,
        "matrix": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()),
    }
