"""The main job as a pipeline: hold the state, lock, plan, run, judge. Each step takes what the last one gave."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from matrix import __version__
from matrix.config.model import Limits
from matrix.converter_code import ConverterCode
from matrix.durable import is_full
from matrix.errors import ConfigError, Indeterminate, LockStale
from matrix.execution.answers import Counts
from matrix.execution.jobs import JobMaker
from matrix.execution.run import Run
from matrix.execution.watermark import Watermark
from matrix.paths import CONVERTER
from matrix.planning import Plan
from matrix.redact import redact
from matrix.reporting import report_on
from matrix.results import Judge
from matrix.searches import Searches
from matrix.searches.apply import Table
from matrix.session import Session
from matrix.state import State
from matrix.store import Store
from matrix.views.document import Report
from matrix.views.progress import progress


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what (the session). None: as the table says."""

    store: str | None = None
    jobs: int = 2
    seconds: float | None = None
    memory_mb: int | None = None
    locked: bool = False
    again: bool = False
    evict: bool = False
    remedy: bool = False
    tflite: bool = False
    command: str = ""


def open_store(session: Session, url: str | None) -> Store:
    """The store at `url`, or the SQLite file of the state folder."""
    session.state.create()
    return Store(url or f"sqlite:///{session.state.database}", session.state.blobs)


def execute(session: Session, options: Options) -> tuple[Report, frozenset[str]]:
    """Run the session's plan; the report and the cells the table states an expectation of.

    Raises Indeterminate where the disk of the state folder or the store is full: then nothing can be recorded.
    """
    try:
        return _execute(session, options)
    except (OSError, SQLAlchemyError) as error:
        if not is_full(error):
            raise
        raise Indeterminate(
            f"the disk below {redact(str(session.state.root))} is full; what had finished is stored: make room "
            "(python -m matrix clean), then the same command continues"
        ) from error


def _execute(session: Session, options: Options) -> tuple[Report, frozenset[str]]:
    _ = session.config  # A wrong table is said before anything is touched.
    engine, why = session.engine()
    with session.state.held():
        engine.recover()
        store = open_store(session, options.store)
        try:
            judge = Judge(session.config, store)
            with progress(judge.speak) as events:
                events.say(why)
                plan = session.locked_plan(events.say, allowed=not options.locked)
                engine.ready({session.locks[name].python for name in session.environments(plan)})
                for note in plan.notes:
                    events.say(f"note: {note}")
                limits = session.config.limits
                limits = Limits(
                    seconds=options.seconds or limits.seconds, memory_mb=options.memory_mb or limits.memory_mb
                )
                number = store.begin_run(
                    plan.tier, engine.name, redact(options.command), len(plan.cells), _host(session.state)
                )
                counts = Counts()

                def run(part: Plan) -> Run:
                    return Run(
                        id=number,
                        config=session.config,
                        plan=part,
                        locks=session.locks,
                        table=session.table.absolute(),
                        engine=engine,
                        store=store,
                        jobs=JobMaker(ConverterCode(CONVERTER)),
                        limits=limits,
                        parallel=options.jobs,
                        # Of this run alone: what a job made so that nobody can remove it must not be in the next
                        # one's way.
                        work=session.state.work / str(number),
                        events=events,
                        speak=judge.speak,
                        again=options.again,
                        evict=options.evict,
                        tflite=options.tflite,
                        counts=counts,
                    )

                disk = engine.disk()
                mark = Watermark(disk) if disk else None
                status = "failed"
                try:
                    done = asyncio.run(_until_done(run(plan), mark))
                    searches = Searches(plan, Table(session.config, session.locks), options.remedy)
                    while done and (cells := searches.next(judge.cells(store.cells(number), session.locks, number))):
                        try:
                            part = session.further(plan, cells, events.say, allowed=not options.locked)
                        except (LockStale, Indeterminate, ConfigError) as error:
                            # What the plan has found stays, whatever becomes of the search.
                            events.say(f"no further search: {error}")
                            break
                        engine.ready({session.locks[name].python for name in session.environments(part)})
                        done = asyncio.run(_until_done(run(part), mark))
                    status = "complete" if done else "interrupted"
                finally:
                    if mark is not None and counts.run:
                        events.say(mark.text())
                    store.end_run(number, status, counts.run, counts.cached)
            order = [cell.id for cell in plan.cells]
            return report_on(store.run(number), store, judge, session.config, session.locks, order)
        finally:
            store.close()


async def _until_done(run: Run, mark: Watermark | None) -> bool:
    """True when the run came to its end, False when a signal asked it to stop."""
    async with mark.watching() if mark else contextlib.nullcontext():
        return await _until_stopped(run)


async def _until_stopped(run: Run) -> bool:
    work = asyncio.create_task(run.execute())
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
